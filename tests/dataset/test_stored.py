"""Prepared tables in object storage: what is fetched is what was written, once, or it is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import polars as pl
import pytest

from automtl.dataset import stored
from automtl.dataset.prepared import PreparedFolder, is_prepared
from automtl.errors import AutomtlError, FileError, StorageError, TableError
from automtl.features.settings import EncoderSettings
from automtl.system.cache import VARIABLE, cache
from automtl.system.manifest import MANIFEST
from automtl.system.storage import remove, upload
from automtl.tables.infer import infer_schema
from automtl.tables.table import read_table
from tests.conftest import TASKS
from tests.dataset.test_prepared import make
from tests.storage import fetches, memory, put, web

THERE = "memory://bucket/prepared"


@pytest.fixture(scope="module")
def folder(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make(log, infer_schema(log, TASKS), EncoderSettings())
    return made.write(tmp_path_factory.mktemp("stored") / "prepared").folder


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    with memory():
        yield


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_fetched_folder_is_the_one_that_was_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, THERE)
    assert is_prepared(THERE) and is_prepared(f"file://{folder}")
    with fetches(monkeypatch) as noted:
        found, local = PreparedFolder.open(THERE), PreparedFolder.open(f"file://{folder}")
        assert PreparedFolder.open(f"{THERE}/").folder == found.folder
    assert contents(found.folder) == contents(folder)
    assert found.digest == local.digest and (found.place, local.place) == (THERE, str(folder))
    assert sorted(noted) == sorted(Path(name).name for name in contents(folder) if name != MANIFEST)
    assert noted[: len(stored.SMALL)] == list(stored.SMALL)


def test_a_prepared_table_of_a_web_server(folder: Path) -> None:
    with web(folder) as address:
        assert is_prepared(f"{address}?signature=1") and not is_prepared(f"{address}/no")
        assert contents(PreparedFolder.open(f"{address}?signature=1").folder) == contents(folder)


def test_one_of_several_fetches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, THERE)
    with fetches(monkeypatch) as noted, ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(stored.fetched, [THERE] * 3))) == 1
    assert len(noted) == len(contents(folder)) - 1


def test_a_fetch_that_was_stopped_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, THERE)
    remove(f"{THERE}/valid/mask.bin")
    with pytest.raises(StorageError, match="'memory://bucket/prepared/valid/mask.bin' does not exist"):
        PreparedFolder.open(THERE)
    upload(folder / "valid" / "mask.bin", f"{THERE}/valid/mask.bin")
    with fetches(monkeypatch) as noted:
        PreparedFolder.open(THERE)
    assert "mask.bin" in noted and "categorical.bin" in noted and not set(noted) & set(stored.SMALL)


@pytest.mark.parametrize("name", ["encoder.json", "train/manifest.json", "test/labels.bin"])
def test_a_file_that_is_not_what_its_manifest_tells_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    (changed / name).write_bytes((changed / name).read_bytes()[:-1] + b"x")
    with pytest.raises(StorageError, match=rf"{name}' is not what its manifest tells; is it being written\? else prep"):
        PreparedFolder.open(put(changed, THERE))
    assert not list((tmp_path / "kept").rglob("table"))


def test_names_that_lead_elsewhere_are_refused(folder: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    rows = changed / "train" / MANIFEST
    rows.write_text(rows.read_text().replace('"labels.bin"', '"../../labels.bin"'))
    whole = changed / MANIFEST
    whole.write_text(whole.read_text().replace(stored.checksum(folder / "train" / MANIFEST), stored.checksum(rows)))
    with pytest.raises(FileError, match=r"'memory://bucket/prepared/train' is damaged \(its list of files\)"):
        PreparedFolder.open(put(changed, THERE))


def test_what_is_not_complete_shows(folder: Path) -> None:
    put(folder / "train", f"{THERE}/train")
    assert is_prepared(THERE) and not is_prepared("memory://bucket/no")
    with pytest.raises(
        FileError, match=r"'memory://bucket/prepared' has no manifest.json; it is no prepared table, or"
    ):
        PreparedFolder.open(THERE)
    put(folder, THERE)
    remove(f"{THERE}/report.json")
    with pytest.raises(TableError, match="'memory://bucket/prepared' is a prepared table, whose rows are encoded"):
        read_table(THERE)


def test_a_folder_is_written_with_its_manifest_last(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, order = tmp_path / "own", list[str]()
    shutil.copytree(folder, own)

    def noting(path: Path, address: str) -> None:
        order.append(address.removeprefix(f"{THERE}/"))
        upload(path, address)

    monkeypatch.setattr(stored, "upload", noting)
    put(folder / "train", f"{THERE}/train")  # of a writing that was stopped
    upload(folder / "report.json", f"{THERE}/test/multi.77.bin")
    with pytest.raises(StorageError, match="'memory://bucket/prepared' exists and is not empty; choose another --out"):
        stored.store(own, THERE)
    stored.store(own, THERE, overwrite=True)
    assert order[-1] == MANIFEST and sorted(order) == sorted(contents(folder))
    assert not fsspec.filesystem("memory").exists(f"{THERE}/test/multi.77.bin")
    assert not own.exists()
    with fetches(monkeypatch) as noted:
        assert contents(PreparedFolder.open(THERE).folder) == contents(folder)
    assert not noted  # it is the copy that was written
    shutil.copytree(folder, own)
    stored.store(own, THERE, overwrite=True)
    assert not own.exists()


def test_the_manifest_is_removed_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, THERE)
    shutil.copytree(folder, tmp_path / "own")

    def stopped(path: Path, address: str) -> None:
        raise StorageError("stopped")

    monkeypatch.setattr(stored, "upload", stopped)
    removed = list[str]()
    monkeypatch.setattr(stored, "remove", lambda address: (removed.append(address), remove(address)))
    with pytest.raises(StorageError, match="stopped"):
        stored.store(tmp_path / "own", THERE, overwrite=True)
    assert removed[0] == f"{THERE}/{MANIFEST}" and len(removed) == len(contents(folder))


def test_other_files_stay(folder: Path, tmp_path: Path) -> None:
    put(folder, THERE)
    upload(folder / "report.json", f"{THERE}/notes.txt")
    with pytest.raises(StorageError, match="'memory://bucket/prepared' holds 'notes.txt', it is not overwritten"):
        stored.require_free(THERE, overwrite=True)
    with pytest.raises(StorageError, match="'https://host/prepared': nothing is written to web servers"):
        stored.require_free("https://host/prepared", overwrite=False)
    stored.require_free("memory://bucket/free", overwrite=False)


def test_a_full_disk_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    put(folder, THERE)
    monkeypatch.setattr(stored, "fetch", full)
    with pytest.raises(
        FileError, match=rf"schema.yaml' cannot be kept in '.*No space .*name another folder by {VARIABLE}"
    ):
        PreparedFolder.open(THERE)
    (tmp_path / "kept").mkdir(exist_ok=True)
    shutil.rmtree(cache().folder)
    cache().folder.touch()
    with pytest.raises(AutomtlError, match="cannot be kept in"):
        PreparedFolder.open(THERE)
