"""The working folder holds what a run has done so far, in files that appear whole: the next run goes on from there.

plan.json            the job; another job does not go on from here
chunks/00000000/     a piece of the source as plain arrays in one file; its about.json says where the next one begins
part/00000000.npy    the part that each row of a chunk belongs to, uint8
time/00000000.npy    the times of a chunk, int64, where they are texts
NAME/                the result of a step, with about.json
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from automtl.system.files import read_json

ABOUT, CONTENT = "about.json", "arrays.safetensors"


@dataclass(frozen=True)
class FileChunk:
    """A chunk in a folder; `about`: plain values, such as the number of its rows.

    It also has arrays `values.I`: the values that got their codes in this chunk.
    """

    folder: Path
    about: dict[str, Any]

    @property
    def rows(self) -> int:
        return int(self.about["rows"])

    def array(self, name: str) -> np.ndarray:
        """Read an array as it was written or added: N rows or, for lists, as many elements as there are."""
        if (added := self._added(name)).is_file():
            return np.asarray(np.load(added, mmap_mode="r"))
        with safe_open(self.folder / CONTENT, "np") as file:
            found: np.ndarray = file.get_tensor(name)
        return found

    @property
    def part(self) -> np.ndarray:
        return self.array("part")

    def add(self, name: str, array: np.ndarray) -> None:
        """Write an array that is made after the chunk was read."""
        self._added(name).parent.mkdir(exist_ok=True)
        np.save(self._added(name), array)

    def _added(self, name: str) -> Path:
        return self.folder.parents[1] / name / f"{self.folder.name}.npy"


@dataclass(frozen=True)
class Work:
    """A working folder, which is there."""

    folder: Path

    @cached_property
    def chunks(self) -> list[FileChunk]:
        """All chunks, once the source has been read."""
        folders = sorted(self.folder.glob("chunks/[0-9]*[0-9]"))
        return [FileChunk(folder, read_about(folder)) for folder in folders]

    @contextmanager
    def step(self, name: str) -> Iterator[Path]:
        """Make a folder to be filled, which takes its name if the block ends well; not synced, see `machine_start`."""
        folder = self.folder / name
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        fresh.rename(folder)

    def done(self, name: str) -> dict[str, Any] | None:
        """Read the plain values that a step has left; None if it is still to be done."""
        folder = self.folder / name
        return read_about(folder) if folder.is_dir() else None


def write_chunk(folder: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write the arrays of a chunk into one file, since each file costs as much as its content."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / CONTENT)
    write_about(folder, about)


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Write the plain values of a step."""
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """Read the plain values of a step. Raises FileError where they cannot be read."""
    found: dict[str, Any] = read_json(folder / ABOUT, "begin anew with --overwrite")
    return found


def machine_start() -> str:
    """Identify the last start of the machine: files that were not synced may be lost at the next one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return os.name
