"""Files and folders that appear whole or not at all, and files that one process holds."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from filelock import FileLock, Timeout

from automtl.errors import TableError

SYNC_BYTES = 32 * 2**20


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A hidden neighbour to write to, which takes the name of `path` at the end, unless there is an error.

    Raises TableError where the file cannot be written.
    """
    if not path.parent.is_dir():
        raise TableError(f"folder '{path.parent}' does not exist; make it first")
    if path.is_dir():
        raise TableError(f"'{path}' is a folder; give the name of a file")
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise TableError(f"'{path}' cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A new folder beside the target, which takes its name if the block ends well and is removed if it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        yield fresh
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_synced(path: Path, content: bytes) -> None:
    """A file whose content is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        sync(file)


def sync(file: BufferedWriter) -> None:
    """What was written so far is on the disk."""
    file.flush()
    os.fsync(file.fileno())


class Syncing:
    """Brings a long file to the disk while it is written.

    The system would hold it back until the end, which then waits for the disk, and write older files before it.
    Unless it is `cached`, the system then keeps nothing of it in memory (Linux).
    """

    def __init__(self, cached: bool = True) -> None:
        self.cached = cached
        self.bytes = 0
        self.thread: threading.Thread | None = None

    def written(self, file: BufferedWriter, count: int) -> None:
        """So many more bytes were."""
        self.bytes += count
        if self.bytes >= SYNC_BYTES and (self.thread is None or not self.thread.is_alive()):
            self.end()
            self.bytes, self.thread = 0, threading.Thread(target=self._sync_early, args=(file.fileno(),))
            self.thread.start()

    def end(self) -> None:
        """Wait until the file may be closed."""
        if self.thread is not None:
            self.thread.join()

    def last(self, file: BufferedWriter) -> None:
        """All of it is on the disk."""
        self.end()
        sync(file)
        self._drop(file.fileno())

    def _sync_early(self, file: int) -> None:
        with suppress(OSError):  # which the last sync will meet, too
            os.fsync(file)
            self._drop(file)

    def _drop(self, file: int) -> None:
        if not self.cached and hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # no more than advice
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether this process alone holds the file for the block; the system lets it go however the process ends."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
