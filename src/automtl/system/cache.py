"""The folder that holds what was fetched from object storage.

AUTOMTL_CACHE names it; then what it holds is kept for later commands. Else it is a temporary folder that this process
and its children share, and that is removed at the end; in it, what is not in use makes room for what comes.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from automtl.errors import FileError, StorageError
from automtl.system.files import LOCK, locked, written_whole
from automtl.system.storage import StoredFile, fetch

VARIABLE = "AUTOMTL_CACHE"
PREFIX = "automtl.fetched."
SHARE = 2  # half of the free disk is for fetched files that are removed at the end
ODD = re.compile(r"[^A-Za-z0-9._=-]")
_PROCESS = secrets.token_hex(8)  # stands for the tag of a file that has none, which is fetched in every process


@dataclass
class Cache:
    """A folder of fetched files. `room`: bytes that files may take, of which those not in use go; None: all stay."""

    folder: Path
    room: int | None = None
    using: Counter[Path] = field(default_factory=Counter)
    fetched: dict[Path, int] = field(default_factory=dict)  # sizes, the file that was used longest ago first
    changing: Lock = field(default_factory=Lock)

    @contextmanager
    def held(self, file: StoredFile) -> Iterator[Path]:
        """Give a file of this machine with the content of a stored one, fetched unless it is there, for the block.

        Raises StorageError, or FileError where the disk does not take it.
        """
        path = self.path(file)
        with self.changing:
            self.using[path] += 1
        try:
            self._ensure(file, path)
            yield path
        finally:
            with self.changing:
                self.using[path] -= 1
                self._make_room()

    def path(self, file: StoredFile) -> Path:
        """Return where a stored file of this content lies, once it is fetched; the name has the same ending."""
        tag = file.tag or _PROCESS
        key = hashlib.sha256("\n".join([str(file), str(file.size), tag]).encode()).hexdigest()[:32]
        return self.folder / "files" / key / ("file-" + ODD.sub("_", str(file).rpartition("/")[2])[-100:])

    def _ensure(self, file: StoredFile, path: Path) -> None:
        if not path.exists():
            with exclusive(path.parent):
                if not path.exists():
                    self._fetch(file, path)
        with self.changing:
            self.fetched.pop(path, None)
            self.fetched[path] = path.stat().st_size

    def _fetch(self, file: StoredFile, path: Path) -> None:
        with written_whole(path) as part:
            try:
                fetch(file, part)
            except OSError as error:
                raise no_room(file, self.folder, error) from None

    def _make_room(self) -> None:
        """Remove files that are not in use, the one that was used longest ago first, until the rest has room."""
        if self.room is None:
            return
        for path in [path for path in self.fetched if not self.using[path]]:
            if sum(self.fetched.values()) <= self.room:
                return
            path.unlink(missing_ok=True)
            del self.fetched[path]


def no_room(what: object, folder: Path, error: OSError) -> FileError:
    """Return the error that something fetched cannot be written."""
    reason = error.strerror or error
    return FileError(f"'{what}' cannot be kept in '{folder}': {reason}; name another folder by {VARIABLE}")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make a folder, and let one process at a time work in it: others wait. Raises FileError."""
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire()
    except OSError as error:
        raise no_room(folder.name, folder.parent, error) from None
    try:
        yield
    finally:
        lock.release()


_own: list[tuple[int, Cache, ExitStack]] = []  # the temporary folder of a process
_opening = Lock()


def cache() -> Cache:
    """Return the folder of fetched files that AUTOMTL_CACHE names, or a temporary one. Raises StorageError."""
    with _opening:
        named = os.environ.get(VARIABLE)
        if _own and _own[0][0] == os.getpid() and named == str(_own[0][1].folder):
            return _own[0][1]
        return Cache(Path(named).absolute()) if named else _temporary()


def _temporary() -> Cache:
    """Make a folder that is removed at the end of this process, and that its children find by AUTOMTL_CACHE."""
    parent = Path(tempfile.gettempdir())
    _remove_left(parent)
    stack = ExitStack()
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        raise StorageError(
            f"no folder for fetched files in '{parent}': {error.strerror or error}; name one by {VARIABLE}"
        ) from None
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.enter_context(locked(folder))
    made = Cache(folder, shutil.disk_usage(folder).free // SHARE)
    _own[:] = [(os.getpid(), made, stack)]
    os.environ[VARIABLE] = str(folder)
    atexit.register(remove_fetched)
    return made


def remove_fetched() -> None:
    """Remove the temporary folder of this process, if it has one; files that are mapped stay readable (POSIX)."""
    if _own and _own[0][0] == os.getpid():
        _, made, stack = _own.pop()
        if os.environ.get(VARIABLE) == str(made.folder):
            del os.environ[VARIABLE]
        stack.close()


def _remove_left(parent: Path) -> None:
    """Remove the folders of killed processes: those that are ours, and whose lock no living process holds."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(FileError, OSError):
            if lock.parent.stat().st_uid == os.getuid():
                with locked(lock.parent):
                    shutil.rmtree(lock.parent, ignore_errors=True)
