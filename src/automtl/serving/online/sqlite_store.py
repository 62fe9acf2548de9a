"""Batches in one file of SQLite, which the processes of one machine may share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from automtl.errors import FileError

FILE = "events.sqlite"
BUSY_SECONDS = 30.0  # to wait for another process that writes
TABLES = """
create table if not exists batches (number integer primary key autoincrement, content blob not null);
create table if not exists snapshot (one integer primary key check (one = 1), number integer not null,
  content blob not null);
"""


@dataclass(frozen=True)
class SqliteStore:
    """A file with a log of what is written next (WAL), which reaches the disk before `append` returns."""

    path: Path
    connection: sqlite3.Connection

    @staticmethod
    def open(folder: Path) -> SqliteStore:
        """Open the file in a folder, and make both where they do not exist. Raises FileError."""
        path = folder / FILE
        with _naming(path):
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.executescript(TABLES)
        return SqliteStore(path, connection)

    def append(self, batch: bytes) -> int:
        with _naming(self.path):
            number = self.connection.execute("insert into batches (content) values (?)", (batch,)).lastrowid
        assert number is not None
        return number

    def read(self, after: int) -> list[tuple[int, bytes]]:
        wanted = "select number, content from batches where number > ? order by number"
        with _naming(self.path):
            return self.connection.execute(wanted, (after,)).fetchall()

    def snapshot(self) -> tuple[int, bytes] | None:
        with _naming(self.path):
            found: tuple[int, bytes] | None = self.connection.execute("select number, content from snapshot").fetchone()
        return found

    def save_snapshot(self, number: int, content: bytes) -> None:
        with _naming(self.path), self.connection:
            self.connection.execute("begin immediate")
            if number > (self.connection.execute("select number from snapshot").fetchone() or (0,))[0]:
                self.connection.execute("insert or replace into snapshot values (1, ?, ?)", (number, content))
                self.connection.execute("delete from batches where number < ?", (number,))

    def close(self) -> None:
        self.connection.close()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an error of the block into a FileError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise FileError(f"events '{path}': {error}; check the disk, or give another folder") from None
