"""Files are fetched once, whole or not at all, and a temporary folder is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from automtl.errors import FileError, StorageError
from automtl.system import cache as module
from automtl.system.cache import PREFIX, VARIABLE, Cache, cache, exclusive, remove_fetched
from automtl.system.files import LOCK, locked
from automtl.system.storage import StoredFile, find_file, upload
from tests.storage import fetches, memory


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    remove_fetched()
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with memory():
        yield
    remove_fetched()


def stored(tmp_path: Path, content: str = "abc", name: str = "x.csv") -> StoredFile:
    (tmp_path / "content").write_text(content)
    upload(tmp_path / "content", f"memory://b/{name}")
    found = find_file(f"memory://b/{name}")
    assert found is not None
    return found


def test_a_named_folder_keeps_files_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    file = stored(tmp_path)
    with fetches(monkeypatch) as noted:
        for _ in range(2):
            with cache().held(file) as path:
                assert path.read_text() == "abc" and path.name.endswith("x.csv")
        assert noted == ["x.csv"]
        with cache().held(stored(tmp_path, "abd")) as path:
            assert path.read_text() == "abd"
        assert len(noted) == 2
    remove_fetched()
    assert path.exists() and os.environ[VARIABLE] == str(tmp_path / "kept")


def test_a_file_without_a_tag_is_not_taken_from_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, file = Cache(tmp_path), replace(stored(tmp_path), tag=None)
    before = own.path(file)
    monkeypatch.setattr(module, "_PROCESS", "another")
    assert own.path(file) != before
    assert own.path(replace(file, tag="1")) != own.path(replace(file, tag="2"))


def test_a_temporary_folder_is_shared_with_children_and_removed(tmp_path: Path) -> None:
    with cache().held(stored(tmp_path)) as path:
        folder = cache().folder
        assert os.environ[VARIABLE] == str(folder) and folder.parent == tmp_path and folder.name.startswith(PREFIX)
    assert path.exists() and cache().folder == folder
    remove_fetched()
    assert not folder.exists() and VARIABLE not in os.environ
    remove_fetched()


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left, working, other = (tmp_path / f"{PREFIX}{name}" for name in ("left", "working", "other"))
    for folder in (left, working):
        folder.mkdir()
        (folder / LOCK).touch()
    other.mkdir()
    with locked(working):
        cache()
        assert not left.exists() and working.exists() and other.exists()


def test_at_the_end_of_a_program_its_folder_is_removed(tmp_path: Path) -> None:
    program = "from automtl.system.cache import cache; print(cache().folder)"
    said = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, check=True
    ).stdout
    assert said.decode().startswith(str(tmp_path)) and not Path(said.decode().strip()).exists()


def test_files_that_are_not_in_use_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [stored(tmp_path, "12345", f"{name}.csv") for name in "abc"]
    own = Cache(tmp_path / "own", room=10)
    with own.held(files[0]) as first:
        for file in files[1:]:
            with own.held(file) as path:
                assert path.exists()
        assert first.exists() and not own.path(files[1]).exists() and own.path(files[2]).exists()
    with fetches(monkeypatch) as noted:
        for place in (0, 2, 1, 0):
            with own.held(files[place]):
                pass
    assert noted == ["b.csv", "a.csv"]  # a was used longest ago when b came


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, file = Cache(tmp_path / "own"), stored(tmp_path)
    with pytest.raises(StorageError, match="came with 3 bytes of 9"), own.held(replace(file, size=9)):
        pass

    def full(file: StoredFile, path: Path) -> None:
        path.write_text("ab")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "fetch", full)
    said = rf"'memory://b/x.csv' cannot be kept in .*No space .*name another folder by {VARIABLE}"
    with pytest.raises(FileError, match=said), own.held(file):
        pass
    assert [path.name for path in (tmp_path / "own").rglob("*") if path.is_file()] == [LOCK] * 2


def test_one_of_several_fetches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = stored(tmp_path)

    def read(place: int) -> str:
        with Cache(tmp_path / "own").held(file) as path:  # as another process has it
            return path.read_text()

    with fetches(monkeypatch) as noted, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == ["abc"] * 4
    assert len(noted) == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=rf"name another folder by {VARIABLE}"), exclusive(tmp_path / "file" / "a"):
        pass
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no"))
    with pytest.raises(StorageError, match=rf"no folder for fetched files in '.*no'.*name one by {VARIABLE}"):
        cache()
