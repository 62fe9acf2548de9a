"""A signature tells who wrote a folder: a digest of its manifest, and so of all its files, by a key that few have.

A checksum protects against damage only: whoever changes a file can write a checksum that fits. The digest is an HMAC of
SHA-256 (RFC 2104). Whoever can verify it can sign, too: keep the key as you keep a password.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from automtl.errors import FileError, SettingsError
from automtl.system.files import write_whole, writing

SIGNATURE = "manifest.signature"  # beside the manifest
SHORTEST, LONGEST = 32, 1 << 16  # bytes of a key
SCHEME = b"automtl hmac-sha256 "  # what a signature begins with; another scheme would have another
LENGTH = len(SCHEME) + 64

_key: ContextVar[bytes | None] = ContextVar("key", default=None)


def read_key(path: Path | str) -> bytes:
    """Read a key file; spaces and line ends around the key do not count. Raises SettingsError."""
    try:
        with Path(path).open("rb") as file:
            key = file.read(LONGEST + 1).strip()
    except OSError as error:
        raise SettingsError(f"key file '{path}' cannot be read: {error.strerror or error}; check the path") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise SettingsError(
            f"key file '{path}' holds a key of {len(key):,} bytes; one of {SHORTEST} to {LONGEST:,} is needed: "
            "automtl sign --new-key FILE makes one"
        )
    return key


def write_new_key(path: Path | str) -> None:
    """Write a new random key into a file that only its owner can read. Raises FileError where the file exists."""
    path = Path(path)
    with writing(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise FileError(f"'{path}' exists; a key is never overwritten, choose another file") from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(SHORTEST).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def requiring(key: Path | str | None) -> Iterator[None]:
    """Refuse, while the block runs, folders that are not signed by the key of a file. None: as it was before.

    Raises SettingsError for a file that holds no key.
    """
    if key is None:
        yield
        return
    token = _key.set(read_key(key))
    try:
        yield
    finally:
        _key.reset(token)


def is_required() -> bool:
    """Tell whether folders must be signed now."""
    return _key.get() is not None


def is_signed(folder: Path) -> bool:
    """Tell whether a folder has a signature, by whatever key."""
    return (folder / SIGNATURE).exists()


def warn_unsigned(folder: Path, out: Path) -> None:
    """Warn where a folder is signed and what is written from it, to `out`, is not."""
    if is_signed(folder):
        warnings.warn(
            f"'{folder}' was signed, what is written to '{out}' is not: sign it again, automtl sign '{out}' --key FILE",
            UserWarning, stacklevel=3,
        )  # fmt: skip


def write_signature(folder: Path, manifest: str, key: bytes) -> None:
    """Sign the manifest of a folder, by its name. Raises FileError."""
    write_whole(folder / SIGNATURE, _signature((folder / manifest).read_bytes(), key))


def require_signature(folder: Path, manifest: bytes) -> None:
    """Check the content of a folder's manifest where folders must be signed. Raises FileError that names the folder."""
    key = _key.get()
    if key is None:
        return
    found = b""
    with suppress(OSError), (folder / SIGNATURE).open("rb") as file:
        found = file.read(LENGTH + 2).rstrip()
    remedy = "do not use it unless you know who wrote it; whoever has the key signs it: automtl sign FOLDER --key FILE"
    if not found:
        raise FileError(f"'{folder}' is not signed, and a signature was asked for; {remedy}")
    if not hmac.compare_digest(found, _signature(manifest, key).rstrip()):
        raise FileError(
            f"'{folder}' is not signed by this key, or '{folder.name}' was changed after it was signed; {remedy}"
        )


def require_covered(folder: Path, covered: Collection[str]) -> None:
    """Check that a folder holds nothing but these files and its signature. Raises FileError that names another one.

    covered: names of files, those within further folders with a slash.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            inside = path.relative_to(folder).as_posix()
            known = inside in covered or inside == SIGNATURE or (path.is_dir() and _is_parent(inside, covered))
            if path.is_symlink() or not known:
                raise FileError(
                    f"'{path}' is not covered by the signature: it is no file that was written with the rest of "
                    f"'{folder}'; remove it"
                )


def _is_parent(name: str, covered: Collection[str]) -> bool:
    return any(one.startswith(f"{name}/") for one in covered)


def _signature(manifest: bytes, key: bytes) -> bytes:
    digest = hmac.new(key, SCHEME + manifest, hashlib.sha256).hexdigest()
    return SCHEME + digest.encode() + b"\n"
