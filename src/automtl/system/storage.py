"""Object storage, reached by fsspec: find, read and write files by address. Without an address nothing is asked.

An error of any storage becomes a StorageError that names the address and a remedy.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

from automtl.errors import AutomtlError, StorageError
from automtl.system.address import WEB, protocol_of, shown

TAGS = (  # what storages call that which changes with the content of a file, the most exact first
    "ETag", "etag", "md5Hash", "Content-MD5", "Digest", "LastModified", "last_modified", "Last-Modified", "mtime",
    "updated", "created",
)  # fmt: skip
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
CONNECT_SECONDS, SILENT_SECONDS = 30, 120  # after which a web server is given up
FORBIDDEN = (401, 403)  # answers of servers
EXTRA = "pip install 'automtl[storage]' is for s3 and http, gcsfs for gs, adlfs for az"
SECRETS = re.compile(r"(https?://)(?:[^\s/@]*@)?([^\s?'\"]*)(?:\?[^\s'\"]*)?")  # in messages of libraries
CREDENTIALS = "see to the credentials, which are those of the storage's own tools (docs/storage.md)"


@dataclass(frozen=True)
class StoredFile:
    """A file at an address. `size`: in bytes, None where the server does not tell.

    `tag`: another one means another content; None where the storage has none.
    """

    address: str
    size: int | None
    tag: str | None

    def __str__(self) -> str:
        return shown(self.address)


def find_file(address: str) -> StoredFile | None:
    """Return the file at an address; None if it is a folder. Raises StorageError where nothing is there."""
    system, path = _system(address)
    with asking(address):
        system.invalidate_cache()
        found = system.info(path)
    return None if found["type"] == "directory" else _stored(address, found)


def files_below(address: str) -> list[StoredFile]:
    """List all files of a folder and the folders in it. Raises StorageError."""
    address = address.rstrip("/")
    system, path = _system(address)
    with asking(address):
        return _listed(address, path, system.find(path, detail=True))


def matching_files(pattern: str) -> list[StoredFile]:
    """List the files that fit a glob, or the one that is called so. Raises StorageError."""
    first = next(place for place, part in enumerate(pattern.split("/")) if has_magic(part))
    base = "/".join(pattern.split("/")[:first])
    if base.endswith(":/"):
        raise StorageError(f"'{shown(pattern)}' has a glob in place of a bucket; name the bucket")
    system, path = _system(pattern)
    with asking(pattern):
        system.invalidate_cache()
        if system.isfile(path):
            return [_stored(pattern, system.info(path))]
        found = system.glob(path, detail=True)
    return _listed(base, _system(base)[1], found)


def read_stored(address: str) -> bytes | None:
    """Read a small file; None where there is none. Raises StorageError."""
    system, path = _system(address)
    try:
        with asking(address):
            content: bytes = system.cat_file(path)
    except MissingError:
        return None
    return content


def fetch(file: StoredFile, path: Path) -> None:
    """Write the content of a file to a local path. Raises StorageError; OSError where the disk does not take it."""
    system, remote = _system(file.address)
    with asking(file.address):
        system.get_file(remote, str(path))
    found = path.stat().st_size
    if file.size is not None and found != file.size:
        raise StorageError(
            f"'{file}' came with {found} bytes of {file.size}; was it written meanwhile? give the command again"
        )


def upload(path: Path, address: str) -> None:
    """Write a local file to an address. Raises StorageError."""
    system, remote = _system(address)
    with asking(address):
        system.put_file(str(path), remote)


def remove(address: str) -> None:
    """Remove a file. Raises StorageError."""
    system, remote = _system(address)
    with asking(address):
        system.rm(remote)


def can_search(address: str) -> bool:
    """Tell whether folders and globs of an address can be listed."""
    return protocol_of(address) not in WEB


class MissingError(StorageError):
    """Nothing is at an address."""


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Turn errors of a storage in the block into a StorageError; those of a full disk pass."""
    try:
        yield
    except AutomtlError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise _told(shown(address), error) from None


def _told(address: str, error: Exception) -> StorageError:
    """Say what an error of a library means, and what to do."""
    if isinstance(error, FileNotFoundError) and getattr(error.__cause__, "status", 404) != 404:
        error = error.__cause__  # type: ignore[assignment]  # how fsspec tells of any trouble with a web server
    elif isinstance(error, FileNotFoundError) and isinstance(error.__cause__, OSError | TimeoutError):
        error = error.__cause__
    text = SECRETS.sub(r"\1\2", " ".join(str(error).split())) or type(error).__name__
    if isinstance(error, ImportError):
        return StorageError(f"'{address}' needs a package that is not installed ({text}); {EXTRA}")
    if isinstance(error, ValueError) and "rotocol" in text:
        return StorageError(f"'{address}' has an unknown protocol; give s3://, gs://, az://, https:// or a path")
    if isinstance(error, ValueError) and "attern" in text:
        return StorageError(f"'{address}' is no glob ({text}); correct it, or give a folder")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MissingError(f"'{address}' does not exist; check the address")
    if isinstance(error, PermissionError) or _is_forbidden(error):
        return StorageError(f"'{address}' may not be used ({text}); {CREDENTIALS}")
    return StorageError(f"'{address}' cannot be reached ({text}); see to the network, and give the command again")


def _is_forbidden(error: Exception) -> bool:
    return getattr(error, "status", None) in FORBIDDEN or "redential" in type(error).__name__


def _system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path there."""
    with asking(address):
        from fsspec.core import url_to_fs

        if "::" in address:
            raise StorageError(f"'{shown(address)}' is an address in another one; give that of a file or folder")
        found: tuple[Any, str] = url_to_fs(address, **_options(address))
        return found


def _options(address: str) -> dict[str, Any]:
    """Return what is asked of a web server beside the configuration of fsspec: patience as long as data come."""
    if can_search(address):
        return {}
    from aiohttp import ClientTimeout
    from fsspec.config import conf

    own = {"timeout": ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)}
    return {"client_kwargs": own | conf.get(protocol_of(address), {}).get("client_kwargs", {})}


def _listed(base: str, path: str, found: Mapping[str, Mapping[str, Any]]) -> list[StoredFile]:
    """Return files that a storage has listed below `base`, which it calls `path`, with their addresses."""
    files = {name: info for name, info in found.items() if info["type"] == "file"}
    return [_stored(base + name[len(path) :], info) for name, info in sorted(files.items())]


def _stored(address: str, info: Mapping[str, Any]) -> StoredFile:
    size, tag = info.get("size"), next((str(info[name]) for name in TAGS if info.get(name)), None)
    return StoredFile(address, None if size is None else int(size), tag)
