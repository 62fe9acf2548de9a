"""The hidden folder beside the output: what is done so far, from which the same call goes on after a kill.

plan.json          the job; another job begins anew
units/00000000/    the scores of a unit and its kept columns, in one file; its about.json is the cursor behind it
histories/         the inputs of histories of all rows, where they know of each other
out                the output while it is written
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from automtl._version import __version__
from automtl.dataset.builder.workdir import Work, machine_start, read_about, write_about
from automtl.errors import AutomtlError, FileError
from automtl.serving.scoring.stream import Cursor
from automtl.system.files import LOCK, json_bytes, locked, write_whole
from automtl.system.manifest import MODEL
from automtl.system.progress import Callback, Notice
from automtl.tables.reading.files import TableFiles

FORM = 1  # of the working folder
CONTENT = "rows.arrow"


@dataclass(frozen=True)
class Units:
    """The units that are done, in their order."""

    work: Work

    @property
    def folders(self) -> list[Path]:
        """A folder for each unit."""
        return sorted(self.work.folder.glob("units/[0-9]*[0-9]"))

    @property
    def cursor(self) -> Cursor:
        """Where scoring goes on."""
        folders = self.folders
        return Cursor.from_dict(read_about(folders[-1])) if folders else Cursor()

    def add(self, number: int, table: pl.DataFrame, cursor: Cursor) -> None:
        """Write a unit, which is there whole or not at all."""
        with self.work.step(f"units/{number:08d}") as folder:
            table.write_ipc(folder / CONTENT, compression="zstd")
            write_about(folder, cursor.to_dict())

    def tables(self) -> Iterator[pl.DataFrame]:
        """Read the units, one after another."""
        for folder in self.folders:
            yield pl.read_ipc(folder / CONTENT)


def plan_of(model: Path, source: TableFiles, log: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Describe a job, by all that its scores depend on."""
    manifest = MODEL.read(model)
    logs = [] if log is None else [part.identity for part in TableFiles.open(log).parts]
    return {
        "version of automtl": [__version__, FORM],
        "model": manifest["files"],
        "input": [part.identity for part in source.parts],
        "log of histories": logs,
        "options": options,
    }


@contextmanager
def working(out: Path, plan: dict[str, Any], callback: Callback) -> Iterator[Work]:
    """Give the folder beside `out` to one process at a time; it is removed if the block ends well."""
    if not out.parent.is_dir():
        raise FileError(f"folder '{out.parent}' does not exist; make it first")
    folder = out.with_name(f".{out.name}.predict")
    try:
        with locked(folder):
            _begin(folder, json.loads(json.dumps(plan)), callback)
            try:
                yield Work(folder)
            except AutomtlError:
                if Units(Work(folder)).folders:
                    raise
                _empty(folder)  # nothing is done from which another command could go on
                raise
            _empty(folder)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise FileError(
            f"'{error.filename or folder}' cannot be read or written: {error.strerror or error}; "
            "the same command goes on where it stopped"
        ) from None


def _begin(folder: Path, plan: dict[str, Any], callback: Callback) -> None:
    """Empty the folder unless an earlier run of the same job, since the machine's last start, has begun it."""
    place, started = folder / "plan.json", machine_start()
    found = _read(place)
    if found is not None:
        other = [name for name, value in plan.items() if found["plan"].get(name) != value]
        if not other and found["started"] == started:
            return
        what = f"another {other[0]}" if other else "an earlier start of the machine"
        callback(Notice(f"an unfinished run is there, of {what}; scoring begins anew"))
    _empty(folder)
    write_whole(place, json_bytes({"plan": plan, "started": started}))


def _read(place: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.keys() == {"plan", "started"} else None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
