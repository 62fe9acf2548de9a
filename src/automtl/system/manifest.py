"""The manifest of every folder that automtl writes: its kind, its format, and checksums of its files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from automtl._version import __version__
from automtl.errors import FileError
from automtl.system.address import is_address, joined
from automtl.system.files import json_bytes, left_aside, parse_json, reading, require_free, write_whole
from automtl.system.signature import is_required, require_covered, require_signature, write_signature
from automtl.system.storage import read_stored

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FolderKind:
    """One kind of folder, and how it differs from others.

    `format`: a change that older code cannot read raises it. `remedy`: the end of messages about a damaged folder.
    `native`: its files can only be read on machines of the byte order that they were written on. `signed`: where
    signatures are asked for (automtl.system.signature), it must have one.
    """

    name: str
    format: int
    remedy: str
    native: bool = False
    signed: bool = False

    @property
    def header(self) -> dict[str, Any]:
        """The first entries of every manifest of this kind."""
        order = {"byte_order": sys.byteorder} if self.native else {}
        return {"kind": self.name, "format": self.format, "automtl": __version__} | order

    def write(self, folder: Path, values: Mapping[str, Any], checksums: Mapping[str, str] | None = None) -> None:
        """Write the manifest: the header, `values`, and checksums of files by name. Raises FileError."""
        content = self.header | dict(values) | {"files": dict(checksums or {})}
        write_whole(folder / MANIFEST, json_bytes(content))

    def matches(self, folder: Path | str) -> bool:
        """Tell whether a folder has a manifest of this kind."""
        return kind_of(folder) == self.name

    def read(self, folder: Path) -> dict[str, Any]:
        """Read the manifest. Raises FileError where it is missing, damaged, of another kind, format or byte order."""
        path = folder / MANIFEST
        if not folder.is_dir():
            left = left_aside(folder)
            remedy = "check the path" if left is None else f"an interrupted overwrite left it as '{left}', move it back"
            raise FileError(f"{self.name} '{folder}' does not exist; {remedy}")
        if not path.is_file():
            raise FileError(f"'{folder}' has no {MANIFEST}; it is no {self.name}, or writing it was interrupted")
        with reading(path, self.remedy):
            content = path.read_bytes()
        if self.signed:
            require_signature(folder, content)
        found = parse_json(content, path, self.remedy)
        if not isinstance(found, dict) or found.get("kind") != self.name:
            raise FileError(f"'{folder}' is {_described(found)}; expected a {self.name}")
        if found.get("format") != self.format:
            other = "" if found.get("automtl") == __version__ else f"use automtl {found.get('automtl')} or "
            raise FileError(
                f"'{folder}' has format {found.get('format')}, this automtl {__version__} reads {self.format}; "
                f"{other}{self.remedy}"
            )
        if self.native and found.get("byte_order") != sys.byteorder:
            raise FileError(f"'{folder}' was written on a machine of another byte order; {self.remedy}")
        return found

    def verify(self, folder: Path, required: Iterable[str] = ()) -> dict[str, Any]:
        """Read the manifest and check its files, among them those `required`. Raises FileError that names the file."""
        found = self.read(folder)
        listed = found.get("files")
        if not isinstance(listed, dict) or not listed.keys() >= set(required) or not all(map(_inside, listed)):
            raise FileError(f"'{folder / MANIFEST}' is damaged (its list of files); {self.remedy}")
        if self.signed and is_required():
            require_covered(folder, {MANIFEST, *listed})
        for name, expected in listed.items():
            self._verify_file(folder / name, expected)
        return found

    def sign(self, folder: Path, key: bytes) -> None:
        """Sign a folder whose files fit its manifest. Raises FileError where they do not, or there are others."""
        require_covered(folder, {MANIFEST, *self.verify(folder)["files"]})
        write_signature(folder, MANIFEST, key)

    def _verify_file(self, path: Path, expected: str) -> None:
        if not path.is_file():
            raise FileError(f"'{path}' is missing; restore it or {self.remedy}")
        try:
            found = checksum(path)
        except OSError as error:
            raise FileError(f"'{path}' cannot be read: {error.strerror or error}; see to its permission") from None
        if found != expected:
            raise FileError(f"'{path}' was changed or damaged (checksum differs); restore it or {self.remedy}")

    def require_free(self, folder: Path, overwrite: bool) -> None:
        """Raise FileError if `folder` holds something that must stay. Called before any work is done."""
        require_free(folder, overwrite)
        if folder.is_dir() and any(folder.iterdir()) and not self.matches(folder):
            raise FileError(f"'{folder}' holds no {self.name}, it is not overwritten; choose another --out")


MODEL = FolderKind("saved model", 6, "fit again", signed=True)
PREPARED = FolderKind("prepared table", 3, "prepare the table again", native=True)
ROWS = FolderKind("folder of encoded rows", 3, "prepare the table again", native=True)
COMPARISON = FolderKind("comparison", 1, "compare again", signed=True)
UNFINISHED = FolderKind("unfinished fit", 1, "remove it and fit again", native=True)
KINDS = (MODEL, PREPARED, ROWS, COMPARISON, UNFINISHED)


def kind_of(folder: Path | str) -> str | None:
    """Return the name of the kind of a folder, which may be an address, as its manifest says; None without one."""
    with suppress(OSError, ValueError, RecursionError):
        stored = read_stored(joined(str(folder), MANIFEST)) if is_address(folder) else None
        found = json.loads(stored or (Path(folder) / MANIFEST).read_bytes())
        return found.get("kind") if isinstance(found, dict) else None
    return None


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the checksums of files in a folder, by name."""
    return {name: checksum(folder / name) for name in names}


def _described(manifest: Any) -> str:
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    return f"a {kind}" if kind in [one.name for one in KINDS] else "not written by automtl"


def _inside(name: str) -> bool:
    """Tell whether a name leads to a file in the folder; a folder may come from anywhere."""
    return not PurePath(name).is_absolute() and ".." not in PurePath(name).parts
