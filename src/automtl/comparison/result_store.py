"""Finished jobs of a comparison, in files, so that an interrupted one goes on where it stopped.

A record is one JSON file, and beside it the scores of the test rows, where the job scored them. It appears whole or not
at all, under a name made from everything that decides its outcome.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automtl.errors import ComparisonError

IDENTITY, ROWS = "identity.json", "rows.npz"
NOTHING = "nothing"  # of a setting that one of two automtl does not have
Result = dict[str, Any]


@dataclass(frozen=True)
class ResultStore:
    """The folder of records of one comparison."""

    folder: Path

    def open(self, identity: Result, overwrite: bool) -> None:
        """Make the folder, or go on with what is in it. Raises ComparisonError if that belongs to something else.

        `identity`: plain values of all that every job hangs on. `overwrite` removes earlier records first.
        """
        try:
            if overwrite and (self.folder / IDENTITY).is_file():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ComparisonError(f"'{self.folder}' cannot be written: {error.strerror}") from None
        identity = json.loads(to_json(identity))
        path = self.folder / IDENTITY
        if not path.is_file():
            write_file(path, to_json(identity))
        elif (found := _read(path)) != identity:
            raise ComparisonError(
                f"'{self.folder.parent}' holds a comparison of something else ({_difference(found, identity)}); choose "
                f"another --out, or pass --overwrite to discard its {self.count} finished jobs"
            )

    @property
    def count(self) -> int:
        """Of finished jobs."""
        return sum(path.name != IDENTITY for path in self.folder.glob("*.json"))

    def get(self, name: str) -> Result | None:
        """The record, if that job is finished."""
        path = self.folder / f"{name}.json"
        return _read(path) if path.is_file() else None

    def put(self, name: str, record: Result, scores: np.ndarray | None = None) -> None:
        """Scores go first: the record says that all is there."""
        if scores is not None:
            write_file(self.folder / f"{name}.npy", _bytes(scores))
        write_file(self.folder / f"{name}.json", to_json(record))

    def scores(self, name: str) -> np.ndarray:
        """(N, T) float32, of the test rows."""
        found: np.ndarray = np.load(self.folder / f"{name}.npy", allow_pickle=False)
        return found

    def keep_rows(self, arrays: Mapping[str, np.ndarray]) -> None:
        """What the metrics need of the test rows besides scores; written once."""
        if not (self.folder / ROWS).is_file():
            content = io.BytesIO()
            np.savez(content, **arrays)  # type: ignore[arg-type]
            write_file(self.folder / ROWS, content.getbuffer())

    def rows(self) -> dict[str, np.ndarray]:
        """Arrays kept by `keep_rows`."""
        with np.load(self.folder / ROWS, allow_pickle=False) as found:
            return dict(found)


def to_json(values: Any) -> bytes:
    """Readable, the same bytes for the same values."""
    return json.dumps(values, indent=1, default=str).encode()


def digest(values: Any) -> str:
    """Of plain values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Whole or not at all: written beside the target, synced, renamed. Raises ComparisonError."""
    try:
        handle, fresh = tempfile.mkstemp(prefix=".", suffix=path.suffix + ".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(fresh, 0o644)
            os.replace(fresh, path)
        finally:
            Path(fresh).unlink(missing_ok=True)
    except OSError as error:
        raise ComparisonError(f"'{path}' cannot be written: {error.strerror}") from None


def _bytes(array: np.ndarray) -> memoryview:
    content = io.BytesIO()
    np.save(content, array.astype(np.float32, copy=False), allow_pickle=False)
    return content.getbuffer()


def _read(path: Path) -> Result:
    try:
        found: Result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ComparisonError(f"'{path}' cannot be read ({error}); remove it, and the job is done again") from None
    return found


def _difference(there: Result, here: Result) -> str:
    """The first value that differs, as a user would name it."""
    old, new = dict(_leaves(there)), dict(_leaves(here))
    name = next(name for name in [*new, *old] if old.get(name, NOTHING) != new.get(name, NOTHING))
    return f"{name}: {old.get(name, NOTHING)} there, {new.get(name, NOTHING)} now"


def _leaves(values: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if values and isinstance(values, dict | list):
        for name, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from _leaves(value, f"{place}.{name}" if place else str(name))
    else:
        yield place, values
