"""The working folder holds what a run has done so far, in files that appear whole: the next run goes on from there.

plan.json            the job; another job does not go on from here
runs.json            the first part of each reader, where several share the parts
chunks/00000000/     a piece of the source as plain arrays in one file; its about.json says where the next one begins.
                     Its name: the number of the reader, in two digits, and of the chunk among those of the reader
merged/              the codes of all readers, see `merging`
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
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from automtl.system.files import read_json

ABOUT, CONTENT = "about.json", "arrays.safetensors"
MERGED = "merged"  # the step that gives the codes of several readers one meaning
RUN_DIGITS = 2  # of the number of a reader
RUNS = 10**RUN_DIGITS  # readers at most


@dataclass(frozen=True)
class FileChunk:
    """A chunk in a folder; `about`: plain values, such as the number of its rows.

    It also has arrays `values.I`: the values that got their codes in this chunk. `before`: by coded column, the number
    of codes that earlier readers have given, which are added to its own; `merged`: the columns that have one set of
    codes of all readers instead, see `merging`.
    """

    folder: Path
    about: dict[str, Any]
    before: tuple[int, ...] = ()
    merged: frozenset[int] = frozenset()

    @property
    def run(self) -> int:
        """The number of its reader."""
        return int(self.folder.name[:RUN_DIGITS])

    @property
    def number(self) -> int:
        """Its number among the chunks of its reader."""
        return int(self.folder.name[RUN_DIGITS:])

    @property
    def merged_folder(self) -> Path:
        """The folder of the codes of all readers."""
        return self.folder.parents[1] / MERGED

    @property
    def rows(self) -> int:
        return int(self.about["rows"])

    def array(self, name: str) -> np.ndarray:
        """Read an array as it was written or added: N rows or, for lists, as many elements as there are."""
        if (added := self._added(name)).is_file():
            return np.asarray(np.load(added, mmap_mode="r"))
        with safe_open(self.folder / CONTENT, "np") as file:
            found: np.ndarray = file.get_tensor(name)
        kind, _, place = name.partition(".")
        if kind == "ids" and int(place) in self.merged:
            codes = np.load(merged_codes(self.merged_folder, int(place), self.run), mmap_mode="r")
            return np.asarray(codes.take(found))
        more = self.before[int(place)] if kind == "ids" and self.before else 0
        return np.where(found > 0, found + np.int32(more), np.int32(0)) if more else found

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
        """All chunks, once the source has been read, with the codes of all readers one after another."""
        found: list[FileChunk] = []
        last: FileChunk | None = None  # of the readers before
        merged = self.done(MERGED) or {}
        for chunk in self._chunks("*[0-9]"):
            if found and chunk.run != found[-1].run:
                last = found[-1]
            found.append(chunk if last is None else _after(last.about, chunk, merged))
        return found

    def chunks_of(self, run: int) -> list[FileChunk]:
        """Return the chunks that are there of one reader, with its own codes."""
        return self._chunks(f"{run:0{RUN_DIGITS}d}*[0-9]")

    def _chunks(self, names: str) -> list[FileChunk]:
        return [FileChunk(folder, read_about(folder)) for folder in sorted((self.folder / "chunks").glob(names))]

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


def chunk_name(run: int, number: int) -> str:
    """Name the step that writes a chunk of a reader."""
    return f"chunks/{run:0{RUN_DIGITS}d}{number:06d}"


def merged_codes(folder: Path, place: int, run: int) -> Path:
    """Name the file of the codes of all readers, by the code of one of them."""
    return folder / f"codes.{place}.{run}.npy"


def merged_values(folder: Path, place: int, run: int) -> Path:
    """Name the file of the values that a reader has met and none before it."""
    return folder / f"values.{place}.{run}.arrow"


def _after(last: dict[str, Any], chunk: FileChunk, merged: dict[str, Any]) -> FileChunk:
    """Return a chunk whose codes come after those of earlier readers, whose last is `last`, or are merged."""
    about, before = dict(chunk.about), tuple(last["size"])
    for name in ("first", "size"):
        about[name] = [more + own for more, own in zip(before, about[name], strict=True)]
    about["whole"] = [one and own for one, own in zip(last["whole"], about["whole"], strict=True)]
    for place, of_runs in merged.items():
        about["first"][int(place)] = 0
        for name in ("size", "whole"):
            about[name][int(place)] = of_runs[name][str(chunk.run)]
    return replace(chunk, about=about, before=before, merged=frozenset(map(int, merged)))


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
