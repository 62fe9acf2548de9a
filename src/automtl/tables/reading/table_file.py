"""One file of a table, on a disk of this machine or in object storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from automtl.system.cache import cache
from automtl.system.storage import StoredFile


class TableFile(Protocol):
    """A file as it is named and read. `str` gives its path or address, as messages have it."""

    @property
    def name(self) -> str:
        """The name without folders."""

    @property
    def folders(self) -> list[str]:
        """The names of the folders that it is in, the innermost first."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def identity(self) -> list[Any]:
        """Plain values that tell the file from a changed one."""

    def absolute(self) -> TableFile:
        """Return the same file, named in a way that does not depend on the working folder."""

    def held(self) -> AbstractContextManager[Path]:
        """Give a path for the block, where the content can be read."""


@dataclass(frozen=True)
class LocalFile:
    """A file on a disk; its identity is path, size and time of change."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def folders(self) -> list[str]:
        return [folder.name for folder in self.path.absolute().parents]

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def identity(self) -> list[Any]:
        found = self.path.stat()
        return [str(self.path.resolve()), found.st_size, found.st_mtime_ns]

    def absolute(self) -> LocalFile:
        return LocalFile(self.path.absolute())

    @contextmanager
    def held(self) -> Iterator[Path]:
        yield self.path


@dataclass(frozen=True)
class FetchedFile:
    """A file in object storage, which is fetched when it is read; its identity is address, size and tag."""

    stored: StoredFile

    def __str__(self) -> str:
        return str(self.stored)

    @property
    def name(self) -> str:
        return PurePosixPath(str(self)).name

    @property
    def folders(self) -> list[str]:
        return [folder.name for folder in PurePosixPath(str(self)).parents]

    @property
    def size(self) -> int:
        if self.stored.size is not None:
            return self.stored.size
        with self.held() as path:
            return path.stat().st_size

    @property
    def identity(self) -> list[Any]:
        return [str(self), self.stored.size, self.stored.tag]

    def absolute(self) -> FetchedFile:
        return self

    def held(self) -> AbstractContextManager[Path]:
        return cache().held(self.stored)
