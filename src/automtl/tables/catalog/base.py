"""The form of a public dataset: the publisher's files, the recipe from rows to a table, the known counts."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from automtl.errors import TableError
from automtl.tables.schema import Schema

NULLS = ["NULL", "null"]


@dataclass(frozen=True)
class Column:
    """One column of a raw file.

    `required`: empty values are an error. `values`: the only ones allowed. `pattern`: what a text must match.
    """

    name: str
    type: Any = pl.Int64
    required: bool = True
    values: tuple[Any, ...] = ()
    pattern: str | None = None

    def expected(self) -> str:
        """Say what the column holds, for messages."""
        if self.values:
            return "one of " + ", ".join(str(value) for value in self.values)
        if self.pattern is not None:
            return f"text like {self.pattern!r}"
        if self.type == pl.String:
            return "text"
        return "a number" if self.type.is_float() else "a whole number"

    def wrong(self) -> pl.Expr:
        """Give an expression that is true for values that are not as described."""
        column = pl.col(self.name)
        found = column.is_null() if self.required else pl.lit(False)
        if self.values:
            found = found | ~column.is_in(self.values)
        if self.pattern is not None:
            found = found | ~column.str.contains(self.pattern)
        return found.fill_null(False)

    def accepts(self, text: str) -> bool:
        """Tell whether a value, as written in the file, is as described."""
        if text == "" or text in NULLS:
            return not self.required
        try:
            value: Any = text if self.type == pl.String else float(text) if self.type.is_float() else int(text)
        except ValueError:
            return False
        return (not self.values or value in self.values) and (
            self.pattern is None or re.search(self.pattern, text) is not None
        )


def columns(names: str, type: Any = pl.Int64, required: bool = True) -> tuple[Column, ...]:
    """Make columns of one type from their names, separated by blanks."""
    return tuple(Column(name, type, required) for name in names.split())


@dataclass(frozen=True)
class RawFile:
    """A text file as its publisher names it, or the same compressed (.gz)."""

    name: str
    columns: tuple[Column, ...]
    header: bool = False
    separator: str = ","

    def find(self, folder: Path) -> Path | None:
        """Find the file in a folder; None if it is missing."""
        for path in (folder / self.name, folder / f"{self.name}.gz"):
            if path.is_file():
                return path
        return None

    def scan(self, path: Path) -> pl.LazyFrame:
        """Scan the rows, read when collected. Raises TableError that names file, line and what was expected."""
        self._check_first_line(path)
        rows = self._rows(path)
        try:
            wrong = pl.any_horizontal([column.wrong() for column in self.columns])
            bad = rows.select(wrong.sum()).collect(engine="streaming").item() or self._count_ragged(path)
        except pl.exceptions.PolarsError as error:
            raise TableError(self._first_mistake(path) or f"'{path}' cannot be read: {error}".split("\n")[0]) from None
        if bad:
            raise TableError(self._first_mistake(path) or f"'{path}' has {bad} rows that are not as described")
        return rows

    def _rows(self, path: Path) -> pl.LazyFrame:
        names = [column.name for column in self.columns]
        if len(self.separator) == 1:
            types = {column.name: column.type for column in self.columns}
            return pl.scan_csv(
                path, schema=types, has_header=self.header, separator=self.separator, null_values=NULLS,
                quote_char='"' if self.header else None, encoding="utf8-lossy", glob=False,
            )  # fmt: skip
        parts = pl.col("line").str.split(self.separator)
        cells = [parts.list.get(place, null_on_oob=True).alias(name) for place, name in enumerate(names)]
        return (
            _lines(path)
            .select(cells)
            .select(pl.col(column.name).str.strip_chars().cast(column.type) for column in self.columns)
        )

    def _count_ragged(self, path: Path) -> int:
        """Count lines of another number of columns; where the last must be filled, short ones show as nulls."""
        if self.columns[-1].required:
            return 0
        unquoted = pl.col("line").str.replace_all('"[^"]*"', "")
        separators = unquoted.str.count_matches(self.separator, literal=True).fill_null(0)
        ragged = (separators != len(self.columns) - 1).sum()
        return int(_lines(path).select(ragged).collect(engine="streaming").item())

    def _check_first_line(self, path: Path) -> None:
        with closing(_read_lines(path)) as lines:
            first = next(lines, "").rstrip("\r\n")
        if not first:
            raise TableError(f"'{path}' is empty; download it again")
        names = self.separator.join(column.name for column in self.columns)
        if self.header and first.lstrip("\ufeff") != names:
            raise TableError(f"'{path}', line 1: expected the header '{_short(names)}', found '{_short(first)}'")

    def _first_mistake(self, path: Path) -> str | None:
        """Describe the first mistake, walking the lines in Python; only called where there is one."""
        for number, cells in enumerate(self._cells(path), 1):
            if number == 1 and self.header:
                continue
            if len(cells) != len(self.columns):
                names = ", ".join(column.name for column in self.columns)
                return (
                    f"'{path}', line {number}: expected {len(self.columns)} columns separated by {self.separator!r} "
                    f"({_short(names)}), found {len(cells)}"
                )
            for column, text in zip(self.columns, cells, strict=True):
                if not column.accepts(text.strip() if len(self.separator) > 1 else text):
                    return (
                        f"'{path}', line {number}: column '{column.name}' is '{_short(text)}', "
                        f"expected {column.expected()}"
                    )
        return None

    def _cells(self, path: Path) -> Iterator[list[str]]:
        lines = (line.rstrip("\r\n") for line in _read_lines(path))
        if self.header:
            return csv.reader(lines)
        return (line.split(self.separator) for line in lines)


def _lines(path: Path) -> pl.LazyFrame:
    """Scan a file as one text column `line`."""
    return pl.scan_csv(
        path, schema={"line": pl.String}, has_header=False, separator="\x00", quote_char=None, encoding="utf8-lossy",
        glob=False,
    )  # fmt: skip


def _read_lines(path: Path) -> Generator[str, None, None]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file, io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="\n") as lines:
        yield from lines


def _short(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[:length] + " ..."


Files = Mapping[str, pl.LazyFrame]  # the rows of each raw file, by its name
Recipe = tuple[pl.LazyFrame, Schema]  # the table that a recipe makes of them


@dataclass(frozen=True)
class Form:
    """One form in which a dataset is published. `build`: from the rows of its files and a variant to the table."""

    files: tuple[RawFile, ...]
    build: Callable[[Files, str], Recipe]


@dataclass(frozen=True)
class Dataset:
    """A public dataset: where its files come from, and the recipes that make a table and schema of them.

    `source`: who publishes it and where to ask for it. `outcomes`: columns of the table that are no inputs, since they
    tell a label. `variants`: name and meaning, the first is the default. `expected`: by variant, the published number
    of rows ('rows') or of distinct values of a column.

    >>> from automtl.tables.catalog import DATASETS
    >>> isinstance(DATASETS.find("movielens-1m"), automtl.Dataset)
    True
    """

    title: str
    source: str
    licence: str
    recipe: str
    forms: tuple[Form, ...]
    expected: Mapping[str, Mapping[str, int]]
    outcomes: tuple[str, ...] = ()
    variants: Mapping[str, str] = field(default_factory=lambda: {"default": "the recipe"})

    @property
    def rows(self) -> int:
        """The published number of rows of the first variant."""
        return self.expected[next(iter(self.variants))]["rows"]

    def describe(self) -> list[str]:
        """Describe the dataset in lines for a person."""
        forms = "; or ".join(", ".join(file.name for file in form.files) for form in self.forms)
        counts = [
            f"expected ({variant}): " + ", ".join(f"{name} {number:,}" for name, number in counts.items())
            for variant, counts in self.expected.items()
        ]
        variants = [f"variant {name}: {meaning}" for name, meaning in self.variants.items()]
        return [
            self.title, f"source: {self.source}", f"licence: {self.licence}", f"files: {forms}",
            f"recipe: {self.recipe}", *variants, *counts,
        ]  # fmt: skip

    def form(self, folder: Path) -> Form:
        """Choose the form whose files are in the folder. Raises TableError that names a missing file."""
        if not folder.is_dir():
            raise TableError(f"folder '{folder}' does not exist; make it and put the files of {self.title} there")
        present = [[file.name for file in form.files if file.find(folder)] for form in self.forms]
        form = self.forms[max(range(len(self.forms)), key=lambda place: bool(present[place]))]
        missing = [file.name for file in form.files if not file.find(folder)]
        if missing:
            others = [" and ".join(file.name for file in other.files) for other in self.forms if other is not form]
            instead = "".join(f"; or, in the other form, {names}" for names in others)
            raise TableError(
                f"'{folder / missing[0]}' is missing (of {len(form.files)} files, {len(missing)} are). {self.title}: "
                f"{self.source} Unpack it and put '{missing[0]}' (or '{missing[0]}.gz') into '{folder}'{instead}"
            )
        return form
