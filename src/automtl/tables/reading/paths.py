"""Find the files of a table: a path, a folder or a glob. No tables: the command line looks for files at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path

from automtl.errors import TableError
from automtl.system.manifest import PREPARED

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*PARQUET_SUFFIXES, *CSV_SUFFIXES, *ARROW_SUFFIXES)
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://")  # such as s3://
HIDDEN = (".", "_")  # files and folders of these first letters are unfinished or private ones of programs


def table_paths(source: str) -> list[Path]:
    """List the files of a path, folder or glob. Raises TableError where one is missing or empty."""
    path = Path(source)
    if REMOTE.match(source):
        raise TableError(f"'{source}' is an address, and files are read; mount what it names, or copy the table here")
    if path.is_dir():
        found = sorted(_inside(path))
    elif has_magic(source) and not path.exists():
        found = sorted(one for one in map(Path, glob(source, recursive=True)) if not _is_hidden(one, path))
    else:
        found = [path]
    if not found:
        raise TableError(_none_found(source, path))
    for path in found:
        if not path.exists():
            raise TableError(f"'{path}' does not exist; check the path")
        if path.stat().st_size == 0:
            raise TableError(f"'{path}' is empty; give a table with a header and rows")
    return found


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Tell by a file's name whether it has one of the formats."""
    return path.name.lower().endswith(suffixes)


def is_partition(folder: str) -> bool:
    """Tell whether a folder's name is a key and a value."""
    return folder.partition("=")[0] != "" and "=" in folder


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the tables of a folder and of the partitions in it."""
    for path in folder.iterdir():
        if path.name.startswith(HIDDEN):
            continue
        if has_suffix(path, SUFFIXES):
            yield path
        elif is_partition(path.name) and path.is_dir():
            yield from _inside(path)


def _is_hidden(path: Path, pattern: Path) -> bool:
    """Tell whether a path that a glob gave has a hidden part, unless the glob asks for such."""
    asked = {part[0] for part in pattern.parts}
    return any(part.startswith(HIDDEN) and part[0] not in asked for part in path.parts)


def _none_found(source: str, path: Path) -> str:
    if PREPARED.matches(path):
        return (
            f"'{source}' is a prepared table, whose rows are encoded; fit, compare and evaluate read it, "
            "here, give the table that it was made from"
        )
    return f"'{source}' holds no table; expected files ending in {', '.join(SUFFIXES)}{_deeper(path)}"


def _deeper(folder: Path) -> str:
    """End a message with the glob of the tables in folders below `folder`, if there are some."""
    below = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if has_suffix(path, SUFFIXES))
    inner = next((path for path in below if not any(part.startswith(HIDDEN) for part in path.parts)), None)
    if inner is None:
        return ""
    return f"; for those in its folders give '{folder.joinpath(*['*' for _ in inner.parts[1:]], '*' + inner.suffix)}'"
