"""Results of finished trials in files, so that an interrupted comparison goes on where it stopped.

A result is one JSON file, and beside it the scores of the test rows, where the trial scored them. It appears whole or
not at all, under a name made from everything that decides it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import numpy as safe_numpy

from automtl.errors import ComparisonError
from automtl.system.files import json_bytes, read_json, write_whole, writing
from automtl.system.manifest import COMPARISON, MANIFEST

ROWS = "rows.safetensors"
ABSENT = "absent"  # stands for a setting that one of two versions does not have
Result = dict[str, Any]


@dataclass(frozen=True)
class ResultStore:
    """The folder that holds the results of one comparison, inside the folder of the comparison."""

    folder: Path

    def open(self, identity: Result, overwrite: bool) -> None:
        """Make the folder, or keep the results in it. Raises ComparisonError if they depend on another `identity`.

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
            finished = len(list(self.folder.glob("*.json")))
            raise ComparisonError(
                f"'{out}' holds a comparison of something else ({_difference(found, identity)}); choose "
                f"another --out, or pass --overwrite to discard its {finished} finished trials"
            )

    def get(self, name: str) -> Result | None:
        """Read the result of that name, if its trial is finished. Raises FileError if it is damaged."""
        path = self.folder / f"{name}.json"
        return read_json(path, "remove it, and the trial is run again") if path.is_file() else None

    def put(self, name: str, result: Result, scores: np.ndarray | None = None) -> None:
        """Write a result and its scores. Scores go first, since the result says that all is there."""
        if scores is not None:
            content = safe_numpy.save({"scores": np.ascontiguousarray(scores)})
            write_whole(self.folder / f"{name}.safetensors", content)
        write_whole(self.folder / f"{name}.json", json_bytes(result))

    def scores(self, name: str) -> np.ndarray:
        """Read the scores of the test rows, (N, T), as they were put."""
        return safe_numpy.load_file(self.folder / f"{name}.safetensors")["scores"]

    def keep_rows(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write labels, masks and weights of the test rows, once."""
        if not (self.folder / ROWS).is_file():
            stored = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            write_whole(self.folder / ROWS, safe_numpy.save(stored))

    def rows(self) -> dict[str, np.ndarray]:
        """Read the arrays that `keep_rows` wrote."""
        return safe_numpy.load_file(self.folder / ROWS)


def digest(values: Any) -> str:
    """Return a short hash of plain values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _difference(there: Result, here: Result) -> str:
    """Describe the first value that differs, as a user would name it."""
    old, new = dict(_leaves(there)), dict(_leaves(here))
    name = next(name for name in [*new, *old] if old.get(name, ABSENT) != new.get(name, ABSENT))
    return f"{name}: {old.get(name, ABSENT)} there, {new.get(name, ABSENT)} now"


def _leaves(values: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if values and isinstance(values, dict | list):
        for name, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from _leaves(value, f"{place}.{name}" if place else str(name))
    else:
        yield place, values
