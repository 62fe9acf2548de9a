"""Results of finished trials in files, so that an interrupted comparison goes on where it stopped.

A result is one JSON file, and beside it the scores of the test rows, where the trial scored them. It appears whole or
not at all, under a name made from everything that decides it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automtl.errors import ComparisonError
from automtl.system.files import json_bytes, read_json, write_whole, writing
from automtl.system.manifest import COMPARISON, MANIFEST

ROWS = "rows.npz"
NOTHING = "nothing"  # of a setting that one of two automtl does not have
Result = dict[str, Any]


@dataclass(frozen=True)
class ResultStore:
    """The folder of results of one comparison, inside the comparison's own."""

    folder: Path

    def open(self, identity: Result, overwrite: bool) -> None:
        """Make the folder, or go on with what is in it. Raises ComparisonError if that belongs to something else.

        `identity`: plain values of all that every result depends on. `overwrite` removes earlier results first.
        """
        out, identity = self.folder.parent, json.loads(json_bytes(identity))
        with writing(self.folder):
            if overwrite and COMPARISON.matches(out):
                shutil.rmtree(self.folder, ignore_errors=True)
                (out / MANIFEST).unlink()
            self.folder.mkdir(parents=True, exist_ok=True)
        if not (out / MANIFEST).is_file():
            COMPARISON.write(out, {"identity": identity})
        elif (found := COMPARISON.read(out)["identity"]) != identity:
            raise ComparisonError(
                f"'{out}' holds a comparison of something else ({_difference(found, identity)}); choose "
                f"another --out, or pass --overwrite to discard its {self.count} finished trials"
            )

    @property
    def count(self) -> int:
        """Number of finished trials."""
        return len(list(self.folder.glob("*.json")))

    def get(self, name: str) -> Result | None:
        """The result of that name, if its trial is finished. Raises FileError if it is damaged."""
        path = self.folder / f"{name}.json"
        return read_json(path, "remove it, and the trial is run again") if path.is_file() else None

    def put(self, name: str, result: Result, scores: np.ndarray | None = None) -> None:
        """Write a result and its scores. Scores go first: the result says that all is there."""
        if scores is not None:
            content = io.BytesIO()
            np.save(content, scores.astype(np.float32, copy=False), allow_pickle=False)
            write_whole(self.folder / f"{name}.npy", content.getbuffer())
        write_whole(self.folder / f"{name}.json", json_bytes(result))

    def scores(self, name: str) -> np.ndarray:
        """(N, T) float32, of the test rows."""
        found: np.ndarray = np.load(self.folder / f"{name}.npy", allow_pickle=False)
        return found

    def keep_rows(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what metrics need of the test rows besides scores, once."""
        if not (self.folder / ROWS).is_file():
            content = io.BytesIO()
            np.savez(content, **arrays)  # type: ignore[arg-type]
            write_whole(self.folder / ROWS, content.getbuffer())

    def rows(self) -> dict[str, np.ndarray]:
        """Arrays kept by `keep_rows`."""
        with np.load(self.folder / ROWS, allow_pickle=False) as found:
            return dict(found)


def digest(values: Any) -> str:
    """A short hash of plain values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


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
