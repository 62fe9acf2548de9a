"""Where the changes of events are kept: batches of bytes in the order in which they came, each whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from automtl.errors import SettingsError


class Store(Protocol):
    """Batches by number, from 1 on without a gap, which several processes may append to and read.

    A batch that was appended survives the process. The snapshot stands for all batches up to its number; older ones
    are removed with it, but for the one of this number.
    """

    def append(self, batch: bytes) -> int:
        """Keep a batch; returns its number."""

    def read(self, after: int) -> list[tuple[int, bytes]]:
        """Return the batches with a larger number, with it, in order."""

    def snapshot(self) -> tuple[int, bytes] | None:
        """Return the number and the content of the snapshot."""

    def save_snapshot(self, number: int, content: bytes) -> None:
        """Keep a snapshot in place of the batches up to its number, unless there is one of a later number."""

    def close(self) -> None:
        """Close the store; all that was appended stays."""


def open_store(where: Path | str) -> Store:
    """Open a folder, which is made where there is none, or a `redis://` address. Raises an AutomtlError."""
    if str(where).startswith(("redis://", "rediss://")):
        from automtl.serving.online.redis_store import RedisStore

        return RedisStore.open(str(where))
    if "://" in str(where):
        raise SettingsError(f"events cannot be kept at '{where}'; give a folder, or redis://HOST:PORT/DATABASE/NAME")
    from automtl.serving.online.sqlite_store import SqliteStore

    return SqliteStore.open(Path(where))
