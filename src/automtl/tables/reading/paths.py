"""Find the files of a table: a path, a folder, a glob or an address. No tables: the command line looks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path, PurePath, PurePosixPath

from automtl.errors import TableError
from automtl.system.address import is_address, shown, without_file
from automtl.system.manifest import PREPARED
from automtl.system.storage import StoredFile, can_search, files_below, find_file, matching_files
from automtl.tables.reading.table_file import FetchedFile, LocalFile, TableFile

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*PARQUET_SUFFIXES, *CSV_SUFFIXES, *ARROW_SUFFIXES)
HIDDEN = (".", "_")  # files and folders of these first letters are unfinished or private ones of programs


def table_files(source: str) -> Sequence[TableFile]:
    """List the files of a path, folder, glob or address. Raises TableError where one is missing or empty."""
    if is_address(source):
        return [FetchedFile(file) for file in _stored_files(source)]
    return [LocalFile(path) for path in table_paths(without_file(source))]


def table_paths(source: str) -> list[Path]:
    """List the files of a path, folder or glob. Raises TableError where one is missing or empty."""
    path = Path(source)
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


def has_suffix(path: Path | TableFile, suffixes: tuple[str, ...]) -> bool:
    """Tell by a file's name whether it has one of the formats."""
    return path.name.lower().endswith(suffixes)


def names_files(address: str) -> bool:
    """Tell by an address itself that it is one of files, not of a folder."""
    return shown(address).lower().endswith(SUFFIXES) or (can_search(address) and has_magic(address))


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


def _stored_files(address: str) -> list[StoredFile]:
    """List the files that an address names, in the order that the same names have on a disk."""
    if can_search(address) and has_magic(address):
        pattern = PurePosixPath(address)
        found = [file for file in matching_files(address) if not _is_hidden(PurePosixPath(file.address), pattern)]
    else:
        single = find_file(address)
        found = [single] if single is not None else [one for one in files_below(address) if _is_table(one, address)]
    if not found and PREPARED.matches(address):
        raise TableError(_prepared(shown(address)))
    if not found:
        raise TableError(f"'{shown(address)}' holds no table; expected files ending in {', '.join(SUFFIXES)}")
    for file in found:
        if file.size == 0:
            raise TableError(f"'{file}' is empty; give a table with a header and rows")
    return sorted(found, key=lambda file: PurePosixPath(file.address))


def _is_table(file: StoredFile, folder: str) -> bool:
    """Tell whether a file in a stored folder is a table there, or in a partition of it."""
    *folders, name = PurePosixPath(file.address).relative_to(PurePosixPath(folder)).parts
    shown = not any(part.startswith(HIDDEN) for part in (*folders, name))
    return shown and all(map(is_partition, folders)) and name.lower().endswith(SUFFIXES)


def _is_hidden(path: PurePath, pattern: PurePath) -> bool:
    """Tell whether a path that a glob gave has a hidden part, unless the glob asks for such."""
    asked = {part[0] for part in pattern.parts}
    return any(part.startswith(HIDDEN) and part[0] not in asked for part in path.parts)


def _none_found(source: str, path: Path) -> str:
    if PREPARED.matches(path):
        return _prepared(source)
    return f"'{source}' holds no table; expected files ending in {', '.join(SUFFIXES)}{_deeper(path)}"


def _prepared(source: str) -> str:
    return (
        f"'{source}' is a prepared table, whose rows are encoded; fit, compare and evaluate read it, "
        "here, give the table that it was made from"
    )


def _deeper(folder: Path) -> str:
    """End a message with the glob of the tables in folders below `folder`, if there are some."""
    below = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if has_suffix(path, SUFFIXES))
    inner = next((path for path in below if not any(part.startswith(HIDDEN) for part in path.parts)), None)
    if inner is None:
        return ""
    return f"; for those in its folders give '{folder.joinpath(*['*' for _ in inner.parts[1:]], '*' + inner.suffix)}'"
