"""Addresses are told from paths, and are written without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from automtl.errors import StorageError
from automtl.system.address import is_address, joined, name_of, place_of, refuse_address, shown, without_file
from automtl.system.files import require_free, require_place


@pytest.mark.parametrize("source", ["s3://b/k", "memory://b", "https://h/a.csv", "abfs://c@account.net/a"])
def test_addresses(source: str) -> None:
    assert is_address(source) and without_file(source) == source and shown(source) == source


@pytest.mark.parametrize("source", ["clicks.parquet", "/a/b", "C:\\a", "a:b", "file:///a/b", None, Path("s3://b/k")])
def test_no_addresses(source: object) -> None:
    assert not is_address(source)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://me:word@h:80/a/b.csv?X-Signature=1#c", "https://h:80/a/b.csv"),
        ("s3://key:word@b/a?b.csv", "s3://b/a?b.csv"),
        ("https://h", "https://h"),
    ],
)
def test_secrets_are_not_shown(address: str, expected: str) -> None:
    assert shown(address) == place_of(address) == expected


def test_parts_of_addresses(tmp_path: Path) -> None:
    assert joined("s3://b/a/", "c") == "s3://b/a/c" and joined("https://h/a?s=1", "c") == "https://h/a/c?s=1"
    assert name_of("https://h/a.csv?s=1") == name_of("s3://b/a.csv") == name_of(Path("x/a.csv")) == "a.csv"
    assert without_file("file:///a/b%20c.csv") == place_of("file:///a/b%20c.csv") == "/a/b c.csv"
    assert place_of("a.csv") == str(Path("a.csv").absolute())


def test_nothing_is_written_to_a_folder_that_is_called_like_an_address(tmp_path: Path) -> None:
    for check in (lambda path: require_free(path, True), require_place, refuse_address):
        with pytest.raises(
            StorageError, match="'s3://bucket/run' is an address, where only prepare writes; give a path"
        ):
            check(Path("s3://bucket/run"))
    refuse_address(tmp_path / "a:b" / "c")
