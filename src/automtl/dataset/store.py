"""Encoded rows in files: one plain file for each array, mapped into memory when read.

A store is a folder. `manifest.json` says what is in it; each array NAME of it is the file NAME.bin, which holds nothing
but its elements, row by row. Arrays: `categorical` (N, C), `multi.0`, `multi.1`, ... (N, L) each, `numeric` (N, M),
`labels` and `mask` (N, T), `weight` (N,) and, where there is a group column, `group` (N,). N rows, C and M columns,
T tasks, L the longest list of its field; lists of the aspects of sequences follow those of multi-valued fields. The
format is described in docs/decisions/0008-encoded-rows.md.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from automtl.dataset.settings import DataLoaderSettings
from automtl.errors import FileError
from automtl.features.batch import Batch, Features, row_bytes
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.histories import HistoryInputs
from automtl.features.layout import ID_TYPES, Layout, label_type
from automtl.system.files import LOCK, Syncing, folder_written_whole, locked
from automtl.system.manifest import MANIFEST, ROWS
from automtl.system.threads import in_threads

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in (*ID_TYPES, "int64", "float32", "float64")}
BUFFER_BYTES = 2**30  # the largest buffer of a shuffle by blocks
COPY_ROWS = 65_536
# A private mapping that reserves no memory, so that a file may be larger than the memory. Python 3.11 lacks the name.
_GENERIC = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if _GENERIC else 0)


@dataclass(frozen=True)
class Array:
    """One file: its element type, its shape and the SHA-256 of its content."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class Store:
    """A complete folder of encoded rows; sizes have been checked."""

    folder: Path
    num_rows: int
    layout: Layout
    arrays: dict[str, Array]

    @staticmethod
    def write(folder: Path | str, parts: Iterable[Batch], layout: Layout, *, cached: bool = True) -> Store:
        """Write parts one after another; the folder appears whole or not at all. Ids are int32 if all fit, or narrower.

        Unless they are `cached`, the system keeps none of the rows in memory (Linux). Raises FileError if the folder
        exists or cannot be written. Errors of `parts` pass through.
        """
        folder = Path(folder)
        with folder_written_whole(folder) as fresh:
            arrays = _write_arrays(fresh, parts, layout, cached)
            shapes = {name: {"dtype": array.dtype, "shape": array.shape} for name, array in arrays.items()}
            values = {"rows": arrays["weight"].shape[0], "layout": layout.to_dict(), "arrays": shapes}
            ROWS.write(fresh, values, {_file(name): array.sha256 for name, array in arrays.items()})
        return Store.open(folder)

    @staticmethod
    def open(folder: Path | str) -> Store:
        """Open a folder. Raises FileError that names a file that is missing, of another kind, or of another size."""
        folder = Path(folder)
        index = ROWS.read(folder)
        try:
            layout = Layout.from_dict(index["layout"])
            arrays = {
                name: Array(found["dtype"], tuple(int(size) for size in found["shape"]), index["files"][_file(name)])
                for name, found in index["arrays"].items()
            }
            store = Store(folder, int(index["rows"]), layout, arrays)
            _require_shapes(store)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"'{folder / MANIFEST}' is damaged ({error}); prepare the table again") from None
        for name, array in arrays.items():
            _require_size(store.file(name), array.num_bytes)
        return store

    def file(self, name: str) -> Path:
        """Return the path of an array."""
        return self.folder / _file(name)

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(array.num_bytes for array in self.arrays.values())

    def rows(self, memory_bytes: int | None = None) -> Batch:
        """Map all rows into memory: they are read when they are used, and a change in place never reaches the file.

        If they are larger than `memory_bytes`, they carry the size of a shuffle buffer and are shuffled by blocks.
        """
        files: list[mmap.mmap] = []
        found = {name: _mapped(self.file(name), array, files) for name, array in self.arrays.items()}
        multi = tuple(found[f"multi.{index}"] for index in range(len(self.layout.lists)))
        features = Features(found["categorical"], multi, found["numeric"])
        rows = Batch(features, found["labels"], found["mask"], found["weight"], found.get("group"))
        return with_buffer(replace(rows, release=partial(_release, files)), memory_bytes)

    def verify(self) -> None:
        """Read every file. Raises FileError that names a file whose content is not what was written."""
        ROWS.verify(self.folder, map(_file, self.arrays))


@dataclass(frozen=True)
class DataLoader:
    """Holds encoded rows in memory or, where they are too many, in files that `data_loader` removes."""

    settings: DataLoaderSettings
    beside: Path | None
    files: ExitStack

    def hold(self, rows: Batch, layout: Layout, change: Callable[[Batch], Batch] = lambda rows: rows) -> Batch:
        """Keep encoded rows, each of them changed: in memory, or part by part in files."""
        if not self.settings.uses_files(rows.num_bytes):
            return change(rows)
        stored = self._stored(map(change, slices(rows, self.settings.part_rows)), layout)
        return replace(stored, coverage=rows.coverage)

    def encode(self, encoder: Encoder, table: pl.DataFrame, like: Batch, history: HistoryInputs | None = None) -> Batch:
        """Encode a table, part by part if its rows go to files; `like`: rows of this width (see `Encoder.encode`)."""
        if table.height == 0 or not self.settings.uses_files(table.height * row_bytes(like)):
            return encoder.encode(table, history=history)
        counted: list[Coverage] = []
        parts = noting(encoder.encode_parts(table, self.settings.part_rows, history=history), counted)
        stored = self._stored(parts, encoder.layout)
        return replace(stored, coverage=sum(counted, Coverage()))

    def _stored(self, parts: Iterable[Batch], layout: Layout) -> Batch:
        prefix, parent = ("automtl.rows.", None) if self.beside is None else (_prefix(self.beside), self.beside.parent)
        try:
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            self.files.callback(shutil.rmtree, folder, ignore_errors=True)
            self.files.enter_context(locked(folder))
        except OSError as error:
            raise FileError(f"no folder for encoded rows in '{parent}': {error.strerror or error}") from None
        return Store.write(folder / "encoded", parts, layout).rows(self.settings.budget_bytes)


def noting(parts: Iterable[Batch], counted: list[Coverage]) -> Iterator[Batch]:
    """Yield encoded parts, and note the coverage of each."""
    for part in parts:
        counted.append(part.coverage or Coverage())
        yield part


@contextmanager
def data_loader(settings: DataLoaderSettings, beside: Path | str | None = None) -> Iterator[DataLoader]:
    """Open a loader for the block. Its files, if it needs any, are beside a path or, without one, temporary files.

    Files that a killed process left beside the path are removed.
    """
    if beside is not None:
        _remove_left(Path(beside))
    with ExitStack() as files:
        yield DataLoader(settings, None if beside is None else Path(beside), files)


def _prefix(beside: Path) -> str:
    return f".{beside.name}.rows."


def _remove_left(beside: Path) -> None:
    """Remove folders of encoded rows whose lock no living process holds; one without a lock is new."""
    for lock in beside.parent.glob(f"{escape(_prefix(beside))}*/{LOCK}"):
        with suppress(FileError), locked(lock.parent):
            shutil.rmtree(lock.parent, ignore_errors=True)


def with_buffer(rows: Batch, memory_bytes: int | None) -> Batch:
    """Give mapped rows the size of a shuffle buffer if they are larger than `memory_bytes`."""
    if memory_bytes is None or rows.num_bytes <= memory_bytes:
        return rows
    return replace(rows, buffer_rows=max(min(memory_bytes, BUFFER_BYTES) // row_bytes(rows), 1))


def slices(rows: Batch, size: int) -> Iterator[Batch]:
    """Cut rows into parts of `size` rows for `Store.write`."""
    yield from (rows.take(slice(start, start + size)) for start in range(0, max(len(rows), 1), size))


def _write_arrays(folder: Path, parts: Iterable[Batch], layout: Layout, cached: bool) -> dict[str, Array]:
    ids = sum(field.size for field in (*layout.categorical, *layout.lists))
    id_dtype = "int32" if ids < 2**31 else "int64"  # with the offset of its field, which the embedding adds
    writers: dict[str, _Writer] = {}
    with ExitStack() as stack:
        for part in parts:
            named = _named(part)
            if not writers:
                types = dict.fromkeys(("categorical", "multi"), id_dtype) | {"group": "int64"}
                types["labels"] = label_type(layout.tasks)
                types |= {f"multi.{len(layout.multi) + place}": one for place, one in enumerate(layout.event_types)}
                writers = {name: _Writer(folder / _file(name), _dtype(name, types), cached) for name in named}
                for writer in writers.values():
                    stack.callback(writer.close)
            assert named.keys() == writers.keys(), "parts of one table have the same arrays"
            in_threads(partial(_append, writers), named.items())
        assert writers, "at least one part, which may have no rows"
        return {name: writer.finish() for name, writer in writers.items()}


def _append(writers: dict[str, _Writer], named: tuple[str, Tensor]) -> None:
    writers[named[0]].append(named[1].numpy())


def _file(name: str) -> str:
    return f"{name}.bin"


def _named(rows: Batch) -> dict[str, Tensor]:
    multi = {f"multi.{index}": ids for index, ids in enumerate(rows.features.multi)}
    group = {} if rows.group is None else {"group": rows.group}
    named = {"categorical": rows.features.categorical, **multi, "numeric": rows.features.numeric}
    return {**named, "labels": rows.labels, "mask": rows.mask, "weight": rows.weight, **group}


def _dtype(name: str, types: dict[str, str]) -> str:
    """Return the type of an array, which is named itself or by its kind."""
    return types.get(name) or types.get(name.split(".")[0], "float32")


class _Writer:
    """One array that grows at its end."""

    def __init__(self, path: Path, dtype: str, cached: bool) -> None:
        self.path, self.dtype = path, dtype
        self.file = path.open("wb")
        self.digest = hashlib.sha256()
        self.syncing = Syncing(cached)
        self.rows = 0
        self.shape: tuple[int, ...] | None = None  # of one row

    def append(self, values: np.ndarray) -> None:
        """Add (n, ...) rows. Lists of ids may be longer or shorter than before; the shorter ones are padded with 0."""
        if self.shape is None:
            self.shape = values.shape[1:]
        elif values.shape[1:] > self.shape:
            self._widen(values.shape[1])
        elif values.shape[1:] < self.shape:
            values = _padded(values, self.shape[0])
        self._put(values)
        self.rows += len(values)

    def finish(self) -> Array:
        """Put the content on the disk, after the last row."""
        assert self.shape is not None
        self.syncing.last(self.file)
        return Array(self.dtype, (self.rows, *self.shape), self.digest.hexdigest())

    def close(self) -> None:
        """Close the file, finished or not."""
        self.syncing.end()
        self.file.close()

    def _put(self, values: np.ndarray) -> None:
        flat = np.ascontiguousarray(values, np.dtype(self.dtype)).reshape(-1)
        self.file.write(flat.data)
        self.syncing.written(self.file, flat.nbytes)
        self.digest.update(flat.data)

    def _widen(self, width: int) -> None:
        """Write the file again with longer rows, for a part with a longer list than all before (which is rare)."""
        assert self.shape is not None
        self.close()
        short = self.path.with_suffix(".short")
        self.path.rename(short)
        self.file, self.digest = self.path.open("wb"), hashlib.sha256()
        with short.open("rb") as file:
            size = self.shape[0] * np.dtype(self.dtype).itemsize
            while data := file.read(COPY_ROWS * size):
                self._put(_padded(np.frombuffer(data, self.dtype).reshape(-1, self.shape[0]), width))
        short.unlink()
        self.shape = (width,)


def _padded(values: np.ndarray, width: int) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))


def _require_shapes(store: Store) -> None:
    """Raise ValueError where the manifest contradicts itself."""
    layout = store.layout
    fixed = {"categorical": len(layout.categorical), "numeric": layout.num_numeric}
    fixed |= {"labels": layout.num_tasks, "mask": layout.num_tasks}
    lists = {f"multi.{index}" for index in range(len(layout.lists))}
    if missing := sorted({*fixed, *lists, "weight"} - set(store.arrays)):
        raise ValueError(f"array '{missing[0]}' is missing")
    if store.arrays["labels"].dtype != (exact := label_type(layout.tasks)):
        raise ValueError(f"labels are {store.arrays['labels'].dtype}, this automtl has {exact}")
    for name, array in store.arrays.items():
        if array.dtype not in DTYPES or min(array.shape) < 0:
            raise ValueError(f"array '{name}' is {array.dtype} of shape {array.shape}")
        right = (fixed[name],) if name in fixed else array.shape[1:2] if name in lists else ()
        if array.shape != (store.num_rows, *right):
            raise ValueError(f"array '{name}' has shape {array.shape}, expected {(store.num_rows, *right)}")


def _require_size(path: Path, expected: int) -> None:
    if not path.is_file():
        raise FileError(f"'{path}' is missing; prepare the table again")
    found = path.stat().st_size
    if found != expected:
        kind = "truncated" if found < expected else "too long"
        raise FileError(f"'{path}' is {kind}: {found} bytes, expected {expected}; prepare the table again")


def _mapped(path: Path, array: Array, files: list[mmap.mmap]) -> Tensor:
    dtype = DTYPES[array.dtype]
    if array.num_bytes == 0:
        return torch.empty(array.shape, dtype=dtype)
    with path.open("rb") as file:
        if sys.platform == "win32":
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        else:
            flags, access = mmap.MAP_PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
            content = mmap.mmap(file.fileno(), 0, flags=flags, prot=access)
    files.append(content)
    return torch.frombuffer(content, dtype=dtype).reshape(array.shape)


def _release(files: list[mmap.mmap]) -> None:
    """Free the pages that this process has read; the system may keep them."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for content in files:
            content.madvise(mmap.MADV_DONTNEED)
