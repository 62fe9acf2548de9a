"""Tables by address are those of the same files on a disk, and their files are fetched once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from automtl.errors import StorageError, TableError
from automtl.system.cache import VARIABLE, cache, remove_fetched
from automtl.tables.reading.files import Part, Place, TableFiles
from automtl.tables.table import read_table
from tests.storage import fetches, memory, put, web

ROOT = "memory://bucket/t"


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with memory():
        yield
        remove_fetched()


def write(folder: Path, *names: str) -> Path:
    """Write tables whose column x counts up, and what is no table."""
    for place, name in enumerate(names):
        path = folder / "t" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pl.DataFrame({"x": [2 * place, 2 * place + 1], "s": ["a", "b,c"]})
        table.write_csv(path) if ".csv" in name else table.write_parquet(path)
    put(folder / "t", ROOT)
    return folder / "t"


def parts(given: str) -> list[Part]:
    return list(TableFiles.open(given).parts)


@pytest.mark.parametrize("pattern", ["", "/", "/*.parquet", "/day=*/*/*", "/**/*.csv", "/z.parquet", "/_x/*.parquet"])
def test_an_address_names_what_a_path_does(tmp_path: Path, pattern: str) -> None:
    names = ("z.parquet", "b/inner.parquet", "_x/hidden.parquet", "_y.parquet", ".z/a.parquet", "b.parquet")
    if pattern in ("/day=*/*/*", "/**/*.csv"):
        names = tuple(f"day={day}/city=a/{name}.csv" for day in (2, 10) for name in "dc")
    folder = write(tmp_path, *names)
    assert read_table(f"{ROOT}{pattern}").equals(read_table(f"{folder}{pattern}"))
    found, local = parts(f"{ROOT}{pattern}"), parts(f"{folder}{pattern}")
    assert [one.file.name for one in found] == [one.file.name for one in local]
    assert [one.file.size for one in found] == [one.file.size for one in local]
    assert [str(one.file) for one in found] == [f"{ROOT}/{Path(str(one.file)).relative_to(folder)}" for one in local]


def test_addresses_of_local_files_are_their_paths(tmp_path: Path) -> None:
    folder = write(tmp_path, "a b.csv")
    path = folder / "a b.csv"
    assert read_table(f"file://{folder}/a%20b.csv").equals(read_table(path))
    assert parts(f"file://{folder}")[0].identity == parts(str(path))[0].identity


def test_a_table_of_a_web_server(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.csv")
    with web(folder) as address:
        assert read_table(f"{address}/a.csv?signature=word").equals(read_table(folder))
        found = parts(f"{address}/a.csv?signature=word")[0]
        assert str(found.file) == f"{address}/a.csv" and "word" not in str(found.identity)
        (folder / "page").write_text("x")
        with pytest.raises(TableError, match=rf"'{address}/page': unknown ending; expected one of"):
            read_table(f"{address}/page")


def test_a_changed_file_has_another_identity_and_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.csv")
    before = parts(ROOT)[0].identity
    assert before == parts(ROOT)[0].identity
    (tmp_path / "t" / "a.csv").write_text("x,s\n7,8\n")
    put(tmp_path / "t", ROOT)
    with fetches(monkeypatch) as noted:
        assert parts(ROOT)[0].identity != before and read_table(ROOT)["x"].to_list() == [7]
    assert noted == ["a.csv"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_pieces_need_one_file_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    folder = write(tmp_path, *(f"{name}.{ending}" for name in "abc"))
    cache().room, largest = 0, 0
    source = TableFiles.open(ROOT)
    with fetches(monkeypatch) as noted:
        read = []
        for piece in source.pieces(["x"], 1, Place()):
            read.append(piece.table)
            largest = max(largest, sum(path.name.startswith("file-") for path in cache().folder.rglob("*")))
    assert pl.concat(read).equals(read_table(folder).select("x"))
    assert largest == 1 and noted == [f"{name}.{ending}" for name in "abc"]


def test_mistakes_name_the_address(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.csv")
    with pytest.raises(StorageError, match="'memory://bucket/no' does not exist; check the address"):
        read_table("memory://bucket/no")
    with pytest.raises(TableError, match="'memory://bucket/t/.*.pq' holds no table; expected files ending in"):
        read_table(f"{ROOT}/*.pq")
    (folder / "a.csv").write_text('x,s\n1,"2\n')
    (folder / "b").mkdir()
    (folder / "b" / "e.csv").touch()
    (folder / "b" / "x.txt.json").write_text("1")
    put(folder, ROOT)
    with pytest.raises(TableError, match="'memory://bucket/t/a.csv', row 1: has a quote"):
        read_table(ROOT)
    with pytest.raises(TableError, match="'memory://bucket/t/b/e.csv' is empty; give a table"):
        read_table(f"{ROOT}/b")
    with pytest.raises(TableError, match="'memory://bucket/t/b/x.txt.json': unknown ending"):
        read_table(f"{ROOT}/b/x.txt.json")
