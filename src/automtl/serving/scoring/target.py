"""Where scores are written, whole or not at all: a file, a folder of parts, or standard output."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from automtl.errors import FileError, TableError
from automtl.serving.scoring.formats import Format, format_of, opened
from automtl.serving.scoring.kept import KeptColumns
from automtl.serving.scoring.work import Units
from automtl.system.files import finish_file, move_whole

STANDARD_OUTPUT = "-"
PART = "part-"  # the beginning of the names of files in a folder of scores


@dataclass(frozen=True)
class Target:
    """Where scores are written. path: None for standard output; folder: of a file for each unit."""

    path: Path | None
    kind: Format
    folder: bool = False
    overwrite: bool = False

    @staticmethod
    def of(out: str, given: Format | None, overwrite: bool) -> Target:
        """Read the options. Raises TableError for a form there is not, FileError for what must not be replaced."""
        if out == STANDARD_OUTPUT:
            kind = format_of(Path("standard.csv"), given)
            if kind not in ("csv", "tsv", "jsonl"):
                raise TableError(f"--format {kind}: standard output is csv, tsv or jsonl; give the name of a file")
            return Target(None, kind)
        path = Path(out)
        if out.endswith("/") or path.is_dir():
            found = Target(path, format_of(path, given or "parquet"), True, overwrite)
        else:
            found = Target(path, format_of(path, given), False, overwrite)
        found.check()
        return found

    def check(self) -> None:
        """Raise FileError if there is something that must stay."""
        assert self.path is not None
        if not self.folder:
            if self.path.exists() and not self.overwrite:
                raise FileError(f"'{self.path}' exists; choose another --out, or pass --overwrite")
            return
        if self.path.is_file():
            raise FileError(f"'{self.path}' is a file; choose another --out")
        inside = sorted(one.name for one in self.path.iterdir()) if self.path.is_dir() else []
        if inside and not self.overwrite:
            raise FileError(f"'{self.path}' exists and is not empty; choose another --out, or pass --overwrite")
        if other := [name for name in inside if not name.startswith(PART)]:
            raise FileError(f"'{self.path}' holds '{other[0]}', which is no part of scores; choose another --out")

    def write(self, units: Units, kept: KeptColumns) -> None:
        """Make the output of all units, and give it its name."""
        assert self.path is not None
        types = kept.final_types(units.tables()) if self.kind not in ("csv", "tsv") and kept.names else {}
        tables = (table.with_columns(kept.typed(table, types)) if types else table for table in units.tables())
        fresh = units.work.folder / "out"
        if not self.folder:
            fresh.unlink(missing_ok=True)
            self._write_file(fresh, tables, self.path.name.lower().endswith(".gz"))
            self.check()
            finish_file(fresh, self.path)
            return
        fresh.mkdir(exist_ok=True)
        for number, table in enumerate(tables):
            self._write_file(fresh / f"{PART}{number:05d}.{self.kind}", [table], compressed=False)
        self.check()
        move_whole(fresh, self.path, overwrite=self.overwrite)

    def _write_file(self, path: Path, tables: Iterable[pl.DataFrame], compressed: bool) -> None:
        with path.open("wb") as file, ExitStack() as stack:
            writer = opened(file, self.kind, compressed, stack)
            for table in tables:
                writer.write(table)
