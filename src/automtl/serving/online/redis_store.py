"""Batches in a stream of Redis, which the servers of many machines may share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from automtl.errors import FileError, SettingsError

NAME = "automtl"  # of the keys, where the address has none
FIELD = b"content"
APPEND = """
local number = redis.call('incr', KEYS[1])
redis.call('xadd', KEYS[2], number .. '-0', 'content', ARGV[1])
return number
"""
SAVE = """
local content, old = ARGV[1], redis.call('getrange', KEYS[1], 0, 7)
if old >= string.sub(content, 1, 8) then return 0 end
redis.call('set', KEYS[1], content)
redis.call('xtrim', KEYS[2], 'minid', ARGV[2])
return 1
"""


@dataclass(frozen=True)
class RedisStore:
    """A stream of batches, their number, and the snapshot, under keys that begin with a name."""

    client: Any
    name: str

    @staticmethod
    def open(address: str) -> RedisStore:
        """Connect to `redis://HOST:PORT/DATABASE/NAME`. Raises SettingsError without the package, FileError."""
        try:
            import redis
        except ImportError:
            raise SettingsError(
                "events in Redis need a package that is not installed; pip install 'automtl[redis]'"
            ) from None
        plain, name = _parts(address)
        with _naming(plain):
            client = redis.Redis.from_url(plain)
            client.ping()
        return RedisStore(client, name)

    def key(self, part: str) -> str:
        """Name a key; all keys of a name lie on one node of a cluster."""
        return f"{{{self.name}}}:{part}"

    def append(self, batch: bytes) -> int:
        with _naming(self.name):
            return int(self.client.eval(APPEND, 2, self.key("number"), self.key("batches"), batch))

    def read(self, after: int) -> list[tuple[int, bytes]]:
        with _naming(self.name):
            found = self.client.xrange(self.key("batches"), min=f"{after + 1}-0")
        return [(int(name.partition(b"-")[0]), fields[FIELD]) for name, fields in found]

    def snapshot(self) -> tuple[int, bytes] | None:
        with _naming(self.name):
            found = self.client.get(self.key("snapshot"))
        return None if found is None else (int.from_bytes(found[:8], "big"), found[8:])

    def save_snapshot(self, number: int, content: bytes) -> None:
        with _naming(self.name):
            whole = number.to_bytes(8, "big") + content
            self.client.eval(SAVE, 2, self.key("snapshot"), self.key("batches"), whole, f"{number}-0")

    def close(self) -> None:
        self.client.close()


def _parts(address: str) -> tuple[str, str]:
    """Return an address of a server and a database, and the name of keys."""
    found = urlsplit(address)
    first, _, rest = found.path.strip("/").partition("/")
    database, name = (first, rest) if first.isdigit() else ("0", found.path.strip("/"))
    return urlunsplit(found._replace(path=f"/{database}")), name or NAME


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Turn an error of the block into a FileError that names where the events are."""
    import redis

    try:
        yield
    except (redis.RedisError, OSError, ValueError) as error:
        raise FileError(f"events in Redis ('{what}'): {error}; is it running, and the address right?") from None
