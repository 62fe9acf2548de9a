"""Errors of storages are told in one line that names the address and a remedy."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from automtl.errors import AutomtlError, StorageError
from automtl.system import storage
from automtl.system.storage import (
    MissingError,
    StoredFile,
    asking,
    fetch,
    files_below,
    find_file,
    matching_files,
    read_stored,
    remove,
    upload,
)
from tests.storage import memory, put, web


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with memory():
        for name in ("a.csv", "b/c.csv", "b/d[1].csv"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        put(tmp_path, "memory://bucket/t")
        yield tmp_path


def names(files: list[StoredFile]) -> list[str]:
    return [file.address.removeprefix("memory://bucket/t/") for file in files]


def test_files_are_found_by_address_folder_and_glob(folder: Path) -> None:
    found = find_file("memory://bucket/t/a.csv")
    assert found is not None and found.size == 5 and found.tag is not None and str(found) == "memory://bucket/t/a.csv"
    assert find_file("memory://bucket/t/b") is None
    assert names(files_below("memory://bucket/t/")) == ["a.csv", "b/c.csv", "b/d[1].csv"]
    assert names(matching_files("memory://bucket/t/*.csv")) == ["a.csv"]
    assert names(matching_files("memory://bucket/*/b/c*")) == ["b/c.csv"]
    with pytest.raises(StorageError, match=r"'memory://buck\*/t' has a glob in place of a bucket; name the bucket"):
        matching_files("memory://buck*/t")
    with pytest.raises(StorageError, match=r"/\*\*x' is no glob \(.*\); correct it, or give a folder"):
        matching_files("memory://bucket/**x")
    assert names(matching_files("memory://bucket/t/b/d[1].csv")) == ["b/d[1].csv"]  # a file that is called so


def test_files_are_read_written_and_removed(folder: Path, tmp_path: Path) -> None:
    assert read_stored("memory://bucket/t/a.csv") == b"a.csv" and read_stored("memory://bucket/t/no") is None
    upload(folder / "a.csv", "memory://bucket/new/x")
    file = find_file("memory://bucket/new/x")
    assert file is not None
    fetch(file, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "a.csv"
    remove("memory://bucket/new/x")
    with pytest.raises(MissingError, match="'memory://bucket/new/x' does not exist; check the address"):
        fetch(file, tmp_path / "x")


def test_a_file_that_came_with_another_size_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="'memory://bucket/t/a.csv' came with 5 bytes of 7; was it written meanwhil"):
        fetch(StoredFile("memory://bucket/t/a.csv", 7, None), tmp_path / "x")


def test_a_web_server(folder: Path, tmp_path: Path) -> None:
    (folder / "secret").touch()
    with web(folder) as address:
        file = find_file(f"{address}/a.csv?signature=1")
        assert file is not None and file.size == 5 and file.tag and str(file) == f"{address}/a.csv"
        fetch(file, tmp_path / "x")
        assert (tmp_path / "x").read_text() == "a.csv" and read_stored(f"{address}/no") is None
        with pytest.raises(MissingError, match=rf"'{address}/no' does not exist"):
            find_file(f"{address}/no")
        with pytest.raises(StorageError, match=rf"'{address}/secret' may not be used .*403.*credentials"):
            read_stored(f"{address}/secret")
    with pytest.raises(
        StorageError, match=r"/a.csv' cannot be reached \(.*\); see to the network, and give the comman"
    ):
        find_file(f"{address}/a.csv")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ImportError("Install s3fs to access S3"),
            r"needs a package.*\(Install s3fs to access S3\); pip install 'automtl\[",
        ),
        (ValueError("Protocol not known: s4"), "has an unknown protocol; give s3://, gs://"),
        (PermissionError("Access Denied"), r"may not be used \(Access Denied\); see to the credentials"),
        (type("NoCredentialsError", (Exception,), {})("none"), r"may not be used \(none\)"),
        (OSError("from 'https://me:word@h/a?X=word', try"), r"cannot be reached \(from 'https://h/a', try\)"),
        (TimeoutError(), r"cannot be reached \(TimeoutError\); see to the network"),
        (socket.gaierror("Name or service\n not known"), r"cannot be reached \(Name or service not known\)"),
    ],
)
def test_errors(error: Exception, expected: str) -> None:
    with pytest.raises(StorageError, match=f"^'s3://b/k' {expected}"), asking("s3://b/k"):
        raise error


def test_what_the_disk_says_and_errors_of_ours_pass() -> None:
    with pytest.raises(OSError, match="No space"), asking("s3://b/k"):
        raise OSError(errno.ENOSPC, "No space left")
    own = AutomtlError("x")
    with pytest.raises(AutomtlError, match="^x$"), asking("s3://b/k"):
        raise own


def test_addresses_that_no_storage_has() -> None:
    with pytest.raises(StorageError, match="'s4://b/k' has an unknown protocol"):
        find_file("s4://b/k")
    with pytest.raises(StorageError, match="is an address in another one"):
        find_file("zip://a::memory://b")


def test_reading_paths_asks_no_storage() -> None:
    assert "fsspec" not in vars(storage)
