"""Addresses of files and folders in object storage, such as s3://bucket/clicks, as text. Nothing is imported or asked.

An address of the protocol `file` stands for a local path, and is taken for it.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from automtl.errors import StorageError

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://")
SHORTENED = re.compile(r"[a-z][a-z0-9+.-]+:/[^/]")  # what an address becomes that is taken for a path
WEB = ("http", "https")  # servers that give files, but do not list folders
LOCAL = "file"


def protocol_of(source: Any) -> str | None:
    """Return the protocol of an address; None for everything else.

    >>> from automtl.system.address import protocol_of
    >>> protocol_of("s3://bucket/clicks.parquet"), protocol_of("clicks.parquet")
    ('s3', None)
    """
    found = ADDRESS.match(source) if isinstance(source, str) else None
    return None if found is None else found[1]


def is_address(source: Any) -> bool:
    """Tell whether a source is an address of something that is not on a disk of this machine."""
    return protocol_of(source) not in (None, LOCAL)


def without_file(source: Any) -> Any:
    """Return the local path that an address of the protocol `file` stands for; everything else as it is.

    >>> from automtl.system.address import without_file
    >>> without_file("file:///data/clicks.parquet")
    '/data/clicks.parquet'
    """
    return url2pathname(urlsplit(source).path) if protocol_of(source) == LOCAL else source


def shown(address: str) -> str:
    """Write an address for people and files, without passwords and signatures.

    >>> from automtl.system.address import shown
    >>> shown("https://me:secret@host/clicks.csv?signature=abc")
    'https://host/clicks.csv'
    """
    protocol, _, rest = address.partition("://")
    place, slash, path = rest.partition("/")
    user, _, host = place.rpartition("@")
    if protocol in WEB:
        path = re.split("[?#]", path, maxsplit=1)[0]
    return f"{protocol}://{host if ':' in user else place}{slash}{path}"


def joined(address: str, name: str) -> str:
    """Return the address of a file in a folder."""
    mark = "?" if protocol_of(address) in WEB and "?" in address else ""
    folder, _, query = address.partition("?") if mark else (address, "", "")
    return f"{folder.rstrip('/')}/{name}{mark}{query}"


def name_of(source: str | Path) -> str:
    """Return the last part of a path or address."""
    source = without_file(source)
    return PurePosixPath(shown(str(source))).name if is_address(source) else Path(source).name


def place_of(source: str | Path) -> str:
    """Return where a source is, as results record it: the address without secrets, or the whole path."""
    source = without_file(source)
    return shown(str(source)) if is_address(source) else str(Path(source).absolute())


def refuse_address(path: Path) -> None:
    """Raise StorageError where a path was meant as an address, to which nothing is written."""
    if SHORTENED.match(str(path)) and not path.parts[0].endswith(":\\"):
        address = str(path).replace(":/", "://", 1)
        raise StorageError(f"'{address}' is an address, where only prepare writes; give a path, and copy it there")
