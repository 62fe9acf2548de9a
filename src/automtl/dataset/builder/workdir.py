"""The working folder: what a run has done so far, in files that appear whole, so that the next run goes on from there.

plan.json            what the job is; another job does not go on from here
chunks/00000000/     a piece of the source as plain arrays in one file, and what says where the next one begins
parts/00000000.npy   to which split each row of a chunk belongs, uint8
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
    """A chunk in a folder; `about`: what was written of it.

    It also has `values.I`, the values whose codes it was the first to have.
    """

    folder: Path
    part_file: Path
    about: dict[str, Any]

    @property
    def rows(self) -> int:
        return int(self.about["rows"])

    def array(self, name: str) -> np.ndarray:
        """As it was written: a column of N rows or, of lists, of as many elements as there are."""
        with safe_open(self.folder / CONTENT, "np") as file:
            found: np.ndarray = file.get_tensor(name)
        return found

    @property
    def part(self) -> np.ndarray:
        found: np.ndarray = np.load(self.part_file, mmap_mode="r")
        return found


@dataclass(frozen=True)
class Work:
    """A working folder."""

    folder: Path

    def chunk(self, index: int) -> FileChunk | None:
        """None if it has not been written."""
        folder = self.folder / "chunks" / f"{index:08d}"
        if not folder.is_dir():
            return None
        return FileChunk(folder, self.folder / "parts" / f"{index:08d}.npy", read_about(folder))

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


def write_chunk(folder: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """The arrays of a chunk in one file, since each file costs as much as its content."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / CONTENT)
    write_about(folder, about)


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """The plain values of a step."""
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """Raises FileError where it cannot be read."""
    found: dict[str, Any] = read_json(folder / ABOUT, "begin anew with --overwrite")
    return found


def machine_start() -> str:
    """Another text after the machine was started again: what was not synced may be lost then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{os.name}"
