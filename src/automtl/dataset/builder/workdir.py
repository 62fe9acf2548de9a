"""The working folder: what a run has done so far, in files that appear whole, so that the next run goes on from there.

plan.json            what the job is; another job does not go on from here
chunks/00000000/     a piece of the source as plain arrays in one file, and what says where the next one begins
parts/00000000.bin   to which split each row of a chunk belongs, uint8
NAME/                the result of a step, with about.json
"""

from __future__ import annotations

import json
import math
import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from automtl.system.files import read_json

ABOUT, CONTENT = "about.json", "content.bin"


@dataclass(frozen=True)
class FileChunk:
    """A chunk in a folder; `about`: what was written of it, and where its arrays lie in the one file that holds them.

    It also has `values.I`, the values whose codes it was the first to have.
    """

    folder: Path
    part_file: Path
    about: dict[str, Any]

    @property
    def rows(self) -> int:
        return int(self.about["rows"])

    def array(self, name: str) -> np.ndarray:
        """As it was written, mapped: a column of N rows or, of lists, of as many elements as there are."""
        start, dtype, shape = self.about["arrays"][name]
        return _mapped(self.folder / CONTENT, dtype, start, shape)

    @property
    def part(self) -> np.ndarray:
        return _mapped(self.part_file, "uint8", 0, [self.rows])


class ChunkWriter:
    """Puts the arrays of a chunk into one file, since each file costs as much as its content; threads take turns.

    `arrays`: by name, where each begins, at a page, its type and its shape.
    """

    def __init__(self, folder: Path) -> None:
        self.arrays: dict[str, tuple[int, str, tuple[int, ...]]] = {}
        self._lock, self._end = Lock(), 0
        self._file = (folder / CONTENT).open("wb")

    def add(self, name: str, values: np.ndarray) -> None:
        """Its elements, row by row."""
        content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        with self._lock:
            self._file.seek(-(-self._end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY)
            start = self._file.tell()
            self._file.write(content.data)
            self._end = start + len(content)
            self.arrays[name] = start, values.dtype.name, values.shape

    def close(self) -> None:
        """All is with the system."""
        self._file.close()


@dataclass(frozen=True)
class Work:
    """A working folder."""

    folder: Path

    def chunk(self, index: int) -> FileChunk | None:
        """None if it has not been written."""
        folder = self.folder / "chunks" / f"{index:08d}"
        if not folder.is_dir():
            return None
        return FileChunk(folder, self.folder / "parts" / f"{index:08d}.bin", read_about(folder))

    @cached_property
    def chunks(self) -> list[FileChunk]:
        """All of them, once the source has been read."""
        found: list[FileChunk] = []
        while (chunk := self.chunk(len(found))) is not None:
            found.append(chunk)
        return found

    @contextmanager
    def step(self, name: str) -> Iterator[Path]:
        """A folder to be filled, which takes its name if the block ends well; not synced, see `machine_start`."""
        folder = self.folder / name
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        fresh.rename(folder)

    def done(self, name: str) -> dict[str, Any] | None:
        """What a step has left in about.json; None if it is still to be done."""
        folder = self.folder / name
        return read_about(folder) if folder.is_dir() else None


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """The plain values of a step."""
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """Raises FileError where it cannot be read."""
    found: dict[str, Any] = read_json(folder / ABOUT, "begin anew with --overwrite")
    return found


def write_array(path: Path, values: np.ndarray) -> None:
    """Its elements, row by row."""
    with path.open("wb") as file:
        np.ascontiguousarray(values).tofile(file)


def _mapped(path: Path, dtype: str, start: int, shape: Sequence[int]) -> np.ndarray:
    """The elements from a byte of a file on, without a copy, to be read only."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size == 0:
        return np.empty(shape, dtype)
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ, offset=start)
    return np.frombuffer(content, dtype).reshape(shape)


def machine_start() -> str:
    """Another text after the machine was started again: what was not synced may be lost then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{os.name}"
