"""Files and folders that appear whole or not at all, and locks of folders."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import Any

from automtl.errors import FileError
from automtl.system.address import refuse_address

try:
    import fcntl
except ImportError:  # of Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # in a folder that one process works in at a time
SYNC_BYTES = 32 * 2**20
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]  # numbers of processes are those of one machine
_own: set[str] = set()  # names of what this process writes


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a FileError that names `path`."""
    try:
        yield
    except OSError as error:
        raise FileError(f"'{path}' cannot be written: {error.strerror or error}") from None


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a hidden neighbour to write to, which takes the name `path` if the block ends well.

    If it does not, nothing is left of it, and what was at `path` stays. Raises FileError where it cannot be written.
    """
    require_place(path)
    part = _unfinished(path)
    with writing(path):
        try:
            yield part
            _sync_file(part)
            part.replace(path)
        finally:
            _own.discard(part.name)
            part.unlink(missing_ok=True)


def finish_file(fresh: Path, path: Path) -> None:
    """Bring a finished file to the disk and give it the name `path`, on the same file system. Raises FileError."""
    with writing(path):
        _sync_file(fresh)
        fresh.replace(path)


def require_place(path: Path) -> None:
    """Raise FileError where a file cannot be written: without a folder, or in place of one. Called before any work."""
    refuse_address(path)
    if not path.parent.is_dir():
        raise FileError(f"folder '{path.parent}' does not exist; make it first")
    if path.is_dir():
        raise FileError(f"'{path}' is a folder; give the name of a file")


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file (text as UTF-8) that appears whole or not at all. Raises FileError."""
    with written_whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def folder_written_whole(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden neighbour to fill, which takes the name `folder` if the block ends well.

    If it does not, nothing is left of it, and what was at `folder` stays. Raises FileError where it cannot be written,
    or `folder` exists and is not empty, unless it is to be overwritten.
    """
    require_free(folder, overwrite)
    fresh = _unfinished(folder)
    try:
        with writing(folder):
            fresh.mkdir(parents=True)
            yield fresh
        move_whole(fresh, folder, overwrite=overwrite)
    finally:
        _own.discard(fresh.name)
        shutil.rmtree(fresh, ignore_errors=True)


def move_whole(fresh: Path, folder: Path, *, overwrite: bool = False) -> None:
    """Bring a finished folder to the disk and give it the name `folder`, on the same file system.

    What had that name is gone afterwards, or back if there is an error. Raises FileError as `folder_written_whole`.
    """
    require_free(folder, overwrite)
    aside = _aside(folder)
    with writing(folder):
        for path in fresh.rglob("*"):
            if path.is_file():
                _sync_file(path)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            if folder.exists():
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
            fresh.rename(folder)
        except BaseException:
            if aside.exists() and not folder.exists():
                aside.rename(folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise FileError if `folder` is a file, or not empty and not to be overwritten."""
    refuse_address(folder)
    if folder.is_file():
        raise FileError(f"'{folder}' is a file; choose another --out")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise FileError(f"'{folder}' exists and is not empty; choose another --out, or pass --overwrite")


def left_aside(folder: Path) -> Path | None:
    """Find where an interrupted overwrite has left the content of a folder that does not exist now."""
    aside = _aside(folder)
    return aside if aside.exists() and not folder.exists() else None


def remove_replaced(folder: Path) -> None:
    """Remove what a folder has replaced, where the process that did it was killed before it could."""
    if folder.exists():
        shutil.rmtree(_aside(folder), ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes were writing in a folder that only this process works in."""
    for part in folder.glob(".*.part"):
        shutil.rmtree(part) if part.is_dir() else part.unlink()


def remove_at_once(folder: Path) -> None:
    """Remove a folder under its name in one moment, so that no process that is killed leaves a part of it there."""
    aside = _unfinished(folder)
    try:
        folder.rename(aside)
    except OSError:  # where another process has a file of it open, on some systems
        aside = folder
    shutil.rmtree(aside, ignore_errors=True)
    _own.discard(aside.name)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Let no other process that asks change what a folder holds during the block; nothing is written for it.

    Where the system cannot lock folders, it does nothing. Raises FileError where another process changes it.
    """
    if fcntl is None:
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # which whoever reads it will say
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(f"another process changes '{folder}'; wait for its end") from None
        except OSError:  # of a file system without locks of folders
            pass
        yield
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, and let no other process that asks work in it during the block.

    The system frees the folder however the process ends. Raises FileError where another process has it.
    """
    from filelock import FileLock, Timeout

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise FileError(f"another process works in '{folder}'; wait for its end, or choose another --out") from None
    try:
        yield
    finally:
        lock.release()


def json_bytes(values: Any, *, compact: bool = False) -> bytes:
    """Give plain values as readable JSON, or compact JSON in one line, the same bytes for the same values."""
    return json.dumps(values, indent=None if compact else 1, default=str).encode()


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Turn an OSError of the block into a FileError that names `path`, and ends with `remedy`."""
    try:
        yield
    except OSError as error:
        raise FileError(f"'{path}' cannot be read ({error}); {remedy}") from None


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file. Raises FileError, which ends with `remedy`."""
    with reading(path, remedy):
        content = path.read_bytes()
    return parse_json(content, path, remedy)


def parse_json(content: bytes, path: Path, remedy: str) -> Any:
    """Read the content of a JSON file. Raises FileError, which ends with `remedy`."""
    try:
        return json.loads(content)
    except RecursionError:
        raise FileError(f"'{path}' cannot be read (it is nested too deeply); {remedy}") from None
    except ValueError as error:
        raise FileError(f"'{path}' cannot be read ({error}); {remedy}") from None


def _unfinished(path: Path) -> Path:
    """Give a name for what is to become `path`; what dead processes of this machine left under such names goes."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.{_HOST}-*-*.part"):
        if _is_left(part):
            _remove(part)
    part = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part")
    _own.add(part.name)
    return part


def _is_left(part: Path) -> bool:
    """Tell whether the process that wrote an unfinished file or folder is dead, if that can be known."""
    number = part.name.split("-")[-2]
    if os.name != "posix" or not number.isdigit():
        return False
    if int(number) == os.getpid():  # an earlier process may have had the same number, as in a container
        return part.name not in _own
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink()


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


class Syncing:
    """Brings a long file to the disk while it is written.

    The system would hold it back until the end, which then waits for the disk. Unless it is `cached`, the system keeps
    nothing of it in memory afterwards (Linux).
    """

    def __init__(self, cached: bool = True) -> None:
        self.cached = cached
        self.bytes = 0
        self.thread: threading.Thread | None = None

    def written(self, file: BufferedWriter, count: int) -> None:
        """Count bytes that were written, and bring them to the disk if there are enough."""
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
        """Bring all of the file to the disk."""
        self.end()
        file.flush()
        os.fsync(file.fileno())
        self._drop(file.fileno())

    def _sync_early(self, file: int) -> None:
        with suppress(OSError):  # which the last sync will meet, too
            os.fsync(file)
            self._drop(file)

    def _drop(self, file: int) -> None:
        if not self.cached and hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # no more than advice
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
