"""Files and frames: each entry of FORMS writes stored columns in one way that programs have, and returns the source."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.feather
import pyarrow.parquet

from tests.forms.storage import ABSENT, Marks, Stored

Columns = dict[str, Stored]
TAKEN = ("", "?", "NA", "NaN", "null", "NULL", "None", "\\N")  # what writers are told to write for missing
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Form:
    """One way to write a table: `write` returns what `read_table` is given, a path ending in `ending` or a frame.

    `holds` tells of a stored column whether it can be written; `loses`, whether it is changed on the way, so that it
    may be refused: whole numbers beside a missing one become floats in pandas, dates become times.
    """

    write: Callable[[Columns, Path, Random, Marks], Any]
    holds: Callable[[Stored], bool]
    ending: str | None = None
    loses: Callable[[Stored], bool] = lambda column: False


def is_list(column: Stored) -> bool:
    """Tell whether a column holds lists."""
    if isinstance(column, pl.Series):
        return isinstance(column.dtype, pl.List)
    return any(isinstance(cell, list | tuple | np.ndarray) for cell in column)


def typed(column: Stored) -> bool:
    """Tell whether a column has one type that polars knows."""
    return isinstance(column, pl.Series)


def flat(column: Stored) -> bool:
    """Tell whether a column has one type, of one value a row."""
    return typed(column) and not is_list(column)


def anything(column: Stored) -> bool:
    """Tell of any column that it can be written."""
    return True


def has(*types: Any) -> Callable[[Stored], bool]:
    """Tell whether a column is of one of these types."""
    return lambda column: isinstance(column, pl.Series) and column.dtype in types


def both(*tests: Callable[[Stored], bool]) -> Callable[[Stored], bool]:
    """Join tests by 'and'."""
    return lambda column: all(test(column) for test in tests)


def but(test: Callable[[Stored], bool]) -> Callable[[Stored], bool]:
    """Turn a test round."""
    return lambda column: not test(column)


def by_numpy(column: Stored) -> bool:
    """Tell whether NumPy has no type for a column: whole numbers and nulls, in lists too, and dates."""
    if not isinstance(column, pl.Series):
        return False
    flat = column.explode() if isinstance(column.dtype, pl.List) else column
    return column.dtype == pl.Date or (flat.dtype.is_integer() and flat.null_count() > 0)


def frame_of(columns: Columns) -> pl.DataFrame:
    """Make a polars frame of typed columns."""
    return pl.DataFrame(dict(columns))


def cells_of(column: Stored) -> list[Any]:
    """Return the Python values of a column."""
    return column.to_list() if isinstance(column, pl.Series) else list(column)


# CSV


def polars_csv(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by polars, in any of its dialects."""
    comma = marks.decimal == "," and rng.random() < 0.7
    null = rng.choice(TAKEN)
    style = rng.choice(["necessary", "always", "non_numeric"])
    with path.open("wb") as file:
        frame_of(columns).write_csv(
            file, separator=rng.choice([";", "\t", "|"] if comma else SEPARATORS), quote_style=style, null_value=null,
            line_terminator=rng.choice(["\n", "\r\n"]), include_bom=rng.random() < 0.3, decimal_comma=comma,
        )  # fmt: skip
    return path


def pandas_csv(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by pandas, from any of its frames."""
    frame = rng.choice([numpy_frame, nullable_frame, object_frame])(columns, path, rng, marks)
    comma = marks.decimal == "," and not any(map(by_numpy, columns.values()))  # it would write an id as 2,0
    frame.to_csv(
        path, sep=rng.choice([";", "\t", "|"] if comma else SEPARATORS), index=False, na_rep=rng.choice(TAKEN),
        quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        lineterminator=rng.choice(["\n", "\r\n"]), decimal="," if comma else ".",
        encoding=rng.choice(["utf-8", "utf-8-sig"]),
        compression="gzip" if path.name.endswith(".gz") else None,
    )  # fmt: skip
    return path


def pyarrow_csv(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by pyarrow."""
    table = pa.table({name: plain_arrow(column) for name, column in columns.items()})
    style = rng.choice(["needed", "all_valid"])
    arrow_csv.write_csv(table, path, arrow_csv.WriteOptions(delimiter=rng.choice(SEPARATORS), quoting_style=style))
    return path


def duckdb_csv(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by DuckDB."""
    separator, null = rng.choice(SEPARATORS), rng.choice(TAKEN)
    force = rng.choice([", FORCE_QUOTE *", ""])
    zipped = ", COMPRESSION gzip" if path.name.endswith(".gz") else ""
    _copy(columns, path, f"FORMAT csv, HEADER, DELIMITER '{separator}', NULLSTR '{null}'{force}{zipped}")
    return path


def _copy(columns: Columns, path: Path, options: str) -> None:
    with duckdb.connect() as connection:
        connection.register("given", pa.table({name: plain_arrow(column) for name, column in columns.items()}))
        connection.execute(f"COPY (FROM given) TO '{path}' ({options})")


def written_csv(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write cell by cell: some in quotes, with blank lines between records and short rows at the end of others."""
    separator, end = rng.choice(SEPARATORS), rng.choice(["\n", "\r\n"])

    def quoted(text: str) -> str:
        need = any(sign in text for sign in (separator, "\n", "\r")) or text.startswith('"')
        return '"' + text.replace('"', '""') + '"' if need or rng.random() < 0.2 else text

    lines = [separator.join(map(quoted, columns))]
    for row in zip(*(cells_of(column) for column in columns.values()), strict=True):
        cells = [rng.choice(ABSENT) if _absent(cell) else _spelled(cell) for cell in row]
        while len(cells) > 1 and cells[-1] in ABSENT and rng.random() < 0.5:
            cells.pop()
        line = separator.join(map(quoted, cells))
        lines += [line if line.strip() else '""'] + [""] * (rng.random() < 0.1)
    text = end.join([""] * rng.randint(0, 1) + lines) + end * rng.randint(0, 2)
    content = rng.choice(["", "\ufeff"]) + text
    with gzip.open(path, "wb") if path.name.endswith(".gz") else path.open("wb") as file:
        file.write(content.encode())
    return path


def _absent(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)


def _spelled(cell: Any) -> str:
    return format(cell, "f") if isinstance(cell, Decimal) else str(cell)


# Parquet and Arrow


def polars_parquet(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by polars, in row groups of any size."""
    frame_of(columns).write_parquet(path, row_group_size=rng.choice([None, 7]))
    return path


def pandas_parquet(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by pandas."""
    rng.choice([numpy_frame, nullable_frame, arrow_frame])(columns, path, rng, marks).to_parquet(path)
    return path


def pyarrow_parquet(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by pyarrow."""
    pa.parquet.write_table(arrow_table(columns, path, rng, marks), path, row_group_size=rng.choice([5, 1000]))
    return path


def duckdb_parquet(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write by DuckDB."""
    _copy(columns, path, "FORMAT parquet")
    return path


def polars_arrow(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write an Arrow file by polars."""
    frame_of(columns).write_ipc(path)
    return path


def pyarrow_feather(columns: Columns, path: Path, rng: Random, marks: Marks) -> Path:
    """Write a Feather file by pyarrow."""
    pa.feather.write_feather(arrow_table(columns, path, rng, marks), str(path))
    return path


# Frames


def polars_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pl.DataFrame:
    """Return a polars frame."""
    return frame_of(columns)


def lazy_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pl.LazyFrame:
    """Return a polars frame that is yet to be computed."""
    return frame_of(columns).lazy()


def plain_arrow(column: Stored) -> Any:
    """Return a pyarrow array without dictionaries or views."""
    assert isinstance(column, pl.Series)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.List(pl.Categorical):
        column = column.cast(pl.List(pl.String))
    return column.to_arrow(compat_level=pl.CompatLevel.oldest())


def arrow_table(columns: Columns, path: Path, rng: Random, marks: Marks) -> pa.Table:
    """Return a pyarrow table; texts may be in a dictionary."""
    arrays = {}
    for name, column in columns.items():
        found = plain_arrow(column)
        arrays[name] = (
            found.dictionary_encode() if pa.types.is_large_string(found.type) and rng.random() < 0.5 else found
        )
    return pa.table(arrays)


def numpy_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pd.DataFrame:
    """Return a pandas frame of NumPy's types: whole numbers with nulls become floats."""
    made = {}
    for name, column in columns.items():
        known = isinstance(column, pl.Series) and column.dtype != pl.Int128
        made[name] = column.to_pandas() if known else pd.Series(cells_of(column), dtype=object)  # type: ignore[union-attr]
    return pd.DataFrame(made)


def nullable_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pd.DataFrame:
    """Return a pandas frame of nullable types."""
    made = {}
    for name, column in columns.items():
        if isinstance(column, pl.Series) and column.dtype.is_integer() and column.dtype != pl.Int128:
            made[name] = pd.array(column.to_list(), dtype=str(column.dtype))
        elif has(pl.Boolean)(column):
            made[name] = pd.array(cells_of(column), dtype="boolean")
        elif has(pl.String)(column):
            made[name] = pd.array(cells_of(column), dtype="string")
        else:
            made[name] = numpy_frame({name: column}, path, rng, marks)[name]
    return pd.DataFrame(made)


def object_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pd.DataFrame:
    """Return a pandas frame of Python objects."""
    return pd.DataFrame({name: pd.Series(cells_of(column), dtype=object) for name, column in columns.items()})


def category_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pd.DataFrame:
    """Return a pandas frame whose columns of texts and whole numbers are categories."""
    made = {}
    for name, column in columns.items():
        if isinstance(column, pl.Series) and (column.dtype.is_integer() or column.dtype in (pl.String, pl.Boolean)):
            made[name] = pd.Series(pd.Categorical(column.to_list()))
        else:
            made[name] = numpy_frame({name: column}, path, rng, marks)[name]
    return pd.DataFrame(made)


def arrow_frame(columns: Columns, path: Path, rng: Random, marks: Marks) -> pd.DataFrame:
    """Return a pandas frame of Arrow's types."""
    return frame_of(columns).to_pandas(use_pyarrow_extension_array=True)


def rows(columns: Columns, path: Path, rng: Random, marks: Marks) -> list[dict[str, Any]]:
    """Return rows as JSON's reader gives them to a server; an absent value may be left out."""
    names = list(columns)
    found = [dict(zip(names, row, strict=True)) for row in zip(*map(cells_of, columns.values()), strict=True)]
    return [{name: cell for name, cell in row.items() if cell is not None or rng.random() < 0.5} for row in found]


WIDE = has(pl.Int128)
FORMS: dict[str, Form] = {
    "polars csv": Form(polars_csv, flat, ".csv"),
    "pandas csv": Form(pandas_csv, anything, ".csv", by_numpy),
    "pandas csv.gz": Form(pandas_csv, anything, ".csv.gz", by_numpy),
    "pyarrow csv": Form(pyarrow_csv, both(flat, but(WIDE)), ".csv"),
    "duckdb csv": Form(duckdb_csv, both(typed, but(WIDE)), ".csv"),
    "duckdb csv.gz": Form(duckdb_csv, both(typed, but(WIDE)), ".csv.gz"),
    "written csv": Form(written_csv, but(is_list), ".csv"),
    "written csv.gz": Form(written_csv, but(is_list), ".csv.gz"),
    "polars parquet": Form(polars_parquet, typed, ".parquet"),
    "pandas parquet": Form(pandas_parquet, both(typed, but(WIDE)), ".parquet", by_numpy),
    "pyarrow parquet": Form(pyarrow_parquet, both(typed, but(WIDE)), ".parquet"),
    "duckdb parquet": Form(duckdb_parquet, both(typed, but(WIDE)), ".parquet"),
    "polars arrow": Form(polars_arrow, typed, ".arrow"),
    "pyarrow feather": Form(pyarrow_feather, both(typed, but(WIDE)), ".feather"),
    "polars frame": Form(polars_frame, typed),
    "polars lazy frame": Form(lazy_frame, typed),
    "pyarrow table": Form(arrow_table, both(typed, but(WIDE))),
    "pandas frame": Form(numpy_frame, anything, None, by_numpy),
    "pandas frame, nullable": Form(nullable_frame, anything, None, by_numpy),
    "pandas frame of objects": Form(object_frame, anything),
    "pandas frame of categories": Form(category_frame, anything, None, by_numpy),
    "pandas frame, arrow": Form(arrow_frame, both(typed, but(WIDE))),
    "rows": Form(rows, anything),
}  # fmt: skip
