"""The rows that an encoder is fitted on, from chunks in a working folder, which also keeps long results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.dataset.builder.chunks import read_values
from automtl.dataset.builder.counting import rank_column
from automtl.dataset.builder.workdir import FileChunk, Work, write_about
from automtl.features.chunk import ChunkColumns
from automtl.features.fitting import VALUE_BYTES, Fit
from automtl.features.ranking import Ranking
from automtl.features.target_encoding import ENCODING_ARRAYS, TargetEncoding
from automtl.features.vocabulary import Vocabulary
from automtl.system.progress import Callback, Progress
from automtl.system.threads import in_order

# A quarter of the memory is for vocabularies, an eighth for each column that is counted, an eighth for each key.
VALUES, COUNTED, KEYS = 4, 8, 8
ROWS = 1 << 13  # that are written at a time, so that temporaries stay in the cache


@dataclass(frozen=True)
class FileRows:
    """Chunks in a working folder. `memory`: the bytes that the fitting may use."""

    work: Work
    columns: ChunkColumns
    num_rows: int
    seed: int
    memory: int
    callback: Callback

    @property
    def chunks(self) -> list[FileChunk]:
        return self.work.chunks

    @property
    def memory_bytes(self) -> tuple[int, int]:
        return self.memory // VALUES, self.memory // KEYS

    def each(self, stage: str, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Work on the items in parallel, report each result that is there, and return all."""
        listed, found = list(items), []
        for result in in_order(work, listed):
            found.append(result)
            self.callback(Progress(stage, len(found), len(listed)))
        return found

    def values(self, place: int) -> Iterator[pl.Series]:
        return (read_values(chunk, place) for chunk in self.chunks)

    def ranking(self, place: int, min_count: int) -> Ranking:
        """Rank all values for which there is room, even the rarest, since the report counts them."""
        most = self.memory // VALUES // VALUE_BYTES
        return rank_column(self.work, place, self.columns.coded[place].lists, most, self.memory // COUNTED)

    def target_encoding(self, key: int, vocabulary: Vocabulary, fit: Fit) -> tuple[TargetEncoding, np.ndarray]:
        name = f"target_encoding.{key}"
        if self.work.done(name) is None:
            with self.work.step(name) as fresh:
                encoding, _ = fit(partial(array_in, fresh))
                np.savez(fresh / "encoding.npz", **{one: getattr(encoding, one) for one in ENCODING_ARRAYS})
                (fresh / "raw.npy").unlink()
                write_about(fresh, {})
        folder = self.work.folder / name
        with np.load(folder / "encoding.npz") as arrays:
            found = TargetEncoding(vocabulary, smoothing=self.columns.settings.smoothing, **arrays)
        return found, np.load(folder / "inputs.npy", mmap_mode="r")

    def scratch(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return array_in(self.work.folder, name, shape, dtype)


@dataclass(frozen=True)
class RecordFile:
    """A file of N records of one type, which are written at any place, and mapped into memory when read."""

    path: Path
    rows: int
    kind: np.dtype[Any]

    def begin(self) -> None:
        """Make the file, whose content is still to come."""
        with self.path.open("wb") as file:
            file.truncate(self.rows * self.kind.itemsize)

    def write(self, start: int, records: np.ndarray) -> None:
        """Write records from a place on; a mapped file would take twice the time."""
        with self.path.open("r+b") as file:
            file.seek(start * self.kind.itemsize)
            for first in range(0, len(records), ROWS):
                file.write(np.ascontiguousarray(records[first : first + ROWS]).view(np.uint8).data)

    def read(self) -> np.ndarray:
        """Return all records, (N, ...)."""
        if self.rows * self.kind.itemsize == 0:
            return np.zeros(self.rows, self.kind)
        return np.asarray(np.memmap(self.path, self.kind, "r", shape=(self.rows,)))


def array_in(folder: Path, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Make a file for an array to be filled."""
    return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
