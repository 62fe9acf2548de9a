"""Columns of the input that stand beside the scores, with the values and types that they have in the whole table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from automtl.errors import EncodingError, TableError, suggestion
from automtl.tables.reading.csv import is_exact, type_of_narrowed
from automtl.tables.reading.files import Piece, TableFiles
from automtl.tables.reading.joined import common_types, join_columns, join_tables
from automtl.tables.reading.narrow import narrow
from automtl.tables.values.ids import TEXTS, as_raw_text


@dataclass(frozen=True)
class KeptColumns:
    """The named columns. types: those of the table; as_texts: all are texts until their types are known (CSV)."""

    types: dict[str, Any]
    as_texts: bool

    @staticmethod
    def of_source(names: Sequence[str], source: TableFiles, scores: Sequence[str]) -> KeptColumns:
        """Check the names. Raises TableError for one that is not there, is given twice or is that of a score."""
        for name in names:
            if name not in source.columns:
                near = suggestion(name, source.columns) or f"; there are {', '.join([*source.columns][:12])}"
                raise TableError(f"--keep {name}: no such column{near}; leave it out, or correct it")
            if name in scores:
                raise TableError(
                    f"--keep {name}: a column of scores has this name; put something before the names of scores, "
                    "such as --prefix score_"
                )
        if len(set(names)) < len(names):
            raise TableError(f"--keep names a column twice: {', '.join(names)}; leave one out")
        as_texts = any(part.csv is not None for part in source.parts if part.rows != 0)
        return KeptColumns({name: source.columns[name] for name in names}, as_texts)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order in which they are written."""
        return tuple(self.types)

    def of(self, piece: Piece) -> pl.DataFrame:
        """Return the columns of a piece, all in the types of the table that hold its values."""
        if not self.as_texts:
            return pl.DataFrame(
                {name: join_columns([("", piece.table[name])], dtype) for name, dtype in self.types.items()}
            )
        own = piece.texts
        return pl.DataFrame(
            {name: own[name] if name in own.columns else _as_texts(piece.table[name]) for name in self.types}
        )

    @staticmethod
    def joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Join the columns of adjacent rows."""
        return join_tables([("", part) for part in parts]) if parts[0].width else parts[0]

    def final_types(self, parts: Iterable[pl.DataFrame]) -> dict[str, pl.DataType]:
        """Return the types of the columns of all rows, which come in parts. Texts become what all of them allow."""
        if self.as_texts:
            return _narrowed_types(self.names, parts)
        found = common_types([("a part", {name: part.schema[name] for name in self.names}) for part in parts])
        return {name: pl.String() if dtype == pl.Null else dtype for name, dtype in found.items()}

    def typed(self, table: pl.DataFrame, types: dict[str, pl.DataType]) -> pl.DataFrame:
        """Return the columns of some rows in their final types."""
        return pl.DataFrame({name: _typed(table[name], types[name]) for name in self.names})


def _narrowed_types(names: Sequence[str], parts: Iterable[pl.DataFrame]) -> dict[str, pl.DataType]:
    types, exact = {name: set[pl.DataType]() for name in names}, dict.fromkeys(names, True)
    for part in parts:
        for name in names:
            narrowed = narrow(part[name])
            if narrowed.null_count() < narrowed.len():
                types[name].add(narrowed.dtype)
                exact[name] = exact[name] and is_exact(narrowed)
    return {name: type_of_narrowed(types[name], exact[name]) or pl.String() for name in names}


def _typed(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if column.dtype == dtype:
        return column
    if column.dtype == pl.String:
        return narrow(column).cast(dtype)
    return _as_texts(column) if dtype == pl.String else column.cast(dtype)


def _as_texts(column: pl.Series) -> pl.Series:
    """Write values as texts: ids in their canonical form, others as polars does. Raises TableError for lists."""
    if column.dtype.is_nested():
        raise TableError(f"--keep {column.name}: a column of lists cannot be kept where other parts are CSV files")
    try:
        return as_raw_text(column) if column.dtype not in TEXTS else column.cast(pl.String)
    except EncodingError:
        return column.cast(pl.String)
