"""Prepared tables in object storage: fetched whole into the folder of fetched files; written with the manifest last.

A fetched copy lies under the checksum of its manifest, which covers every byte: the same rows are fetched once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path, PurePath

from automtl.errors import FileError, StorageError
from automtl.system.address import joined, shown
from automtl.system.cache import cache, exclusive, no_room
from automtl.system.files import reading
from automtl.system.manifest import MANIFEST, PREPARED, ROWS, checksum
from automtl.system.storage import (
    MissingError,
    StoredFile,
    can_search,
    fetch,
    files_below,
    read_stored,
    remove,
    upload,
)

PARTS = ("train", "valid", "test")
SMALL = ("schema.yaml", "encoder.json", "encoder.safetensors", "report.json")
STORES = tuple(f"{part}/{MANIFEST}" for part in PARTS)
OWN = re.compile(rf"({'|'.join(PARTS)})/([\w.]+\.bin|{MANIFEST})|{'|'.join((MANIFEST, *SMALL))}")  # names of its files


def fetched(address: str) -> Path:
    """Return the folder that holds a copy of a prepared table, which one process fetches while others wait.

    Raises FileError where nothing is complete there, StorageError where it cannot be read or is changed meanwhile.
    """
    content = read_stored(joined(address, MANIFEST))
    if content is None:
        raise FileError(
            f"'{shown(address)}' has no {MANIFEST}; it is no {PREPARED.name}, or writing it was interrupted"
        )
    folder = _place(hashlib.sha256(content).hexdigest())
    if not folder.is_dir():
        with exclusive(folder.parent):
            if not folder.is_dir():
                _fetch(address, content, folder)
    return folder


def require_free(address: str, overwrite: bool) -> None:
    """Raise StorageError if an address holds something that must stay, or nothing can be written there."""
    if not can_search(address):
        raise StorageError(f"'{shown(address)}': nothing is written to web servers; give s3://, gs://, az:// or a path")
    there = _names(address)
    if there and not overwrite:
        raise StorageError(f"'{shown(address)}' exists and is not empty; choose another --out, or pass --overwrite")
    if other := [name for name in there if not OWN.fullmatch(name)]:
        raise StorageError(f"'{shown(address)}' holds '{other[0]}', it is not overwritten; choose another --out")


def store(folder: Path, address: str, *, overwrite: bool = False) -> None:
    """Write a prepared table to an address, in place of what is there, and keep `folder` as its fetched copy.

    The manifest is removed first and written last, so that what is not complete shows. Raises StorageError.
    """
    require_free(address, overwrite)
    for name in sorted(_names(address), key=lambda name: name != MANIFEST):
        remove(joined(address, name))
    rows = [f"{part}/{name}" for part in PARTS for name in ROWS.read(folder / part)["files"]]
    for name in (*rows, *STORES, *SMALL, MANIFEST):
        upload(folder / name, joined(address, name))
    place = _place(checksum(folder / MANIFEST))
    with exclusive(place.parent):
        shutil.rmtree(folder) if place.is_dir() else folder.rename(place)


def working_folder(address: str) -> Path:
    """Return the folder where a prepared table for an address is made."""
    key = hashlib.sha256(address.encode()).hexdigest()[:32]
    return cache().folder / "made" / key / "prepared"


def _place(digest: str) -> Path:
    return cache().folder / "prepared" / digest[:32] / "table"


def _names(address: str) -> list[str]:
    """Return the names of all files below an address."""
    try:
        return [file.address[len(address.rstrip("/")) + 1 :] for file in files_below(address)]
    except MissingError:
        return []


def _fetch(address: str, manifest: bytes, folder: Path) -> None:
    """Fetch the files, small ones first; what an earlier call has fetched is not fetched again."""
    working = folder.with_name("unfinished")
    try:
        for part in PARTS:
            (working / part).mkdir(parents=True, exist_ok=True)
        (working / MANIFEST).write_bytes(manifest)
    except OSError as error:
        raise no_room(shown(address), folder.parent, error) from None
    listed = PREPARED.read(working).get("files")
    for name in (*SMALL, *STORES):
        _fetch_file(address, working, name, listed.get(name) if isinstance(listed, dict) else None)
    for part in PARTS:
        for name, expected in ROWS.read(working / part)["files"].items():
            if PurePath(name).name != name:
                raise FileError(f"'{shown(joined(address, part))}' is damaged (its list of files); {PREPARED.remedy}")
            _fetch_file(address, working, f"{part}/{name}", expected)
    working.rename(folder)


def _fetch_file(address: str, working: Path, name: str, expected: str | None) -> None:
    path, part = working / name, working / f"{name}.part"
    file = StoredFile(joined(address, name), None, None)
    if path.is_file() and checksum(path) == expected:
        return
    try:
        fetch(file, part)
    except OSError as error:
        raise no_room(file, working.parent, error) from None
    with reading(part, "fetch it again"):
        if checksum(part) != expected:
            raise StorageError(f"'{file}' is not what its manifest tells; is it being written? else {PREPARED.remedy}")
        part.replace(path)
