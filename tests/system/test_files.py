"""Files and folders appear whole or not at all, whatever goes wrong, and what was there stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from automtl.errors import FileError
from automtl.system.files import (
    changing,
    folder_written_whole,
    left_aside,
    locked,
    move_whole,
    read_json,
    remove_at_once,
    remove_unfinished,
    write_whole,
    written_whole,
)  # fmt: skip

Writer = Callable[[Path], AbstractContextManager[Path]]


def content(path: Path) -> str:
    return (path / "inner.txt" if path.is_dir() else path).read_text()


def fill(part: Path, text: str) -> None:
    (part / "inner.txt" if part.is_dir() else part).write_text(text)


def overwritten(path: Path) -> AbstractContextManager[Path]:
    return folder_written_whole(path, overwrite=True)


WRITERS = pytest.mark.parametrize("writer", [written_whole, overwritten])


@WRITERS
def test_what_is_written_replaces_what_was_there_and_leaves_nothing_beside(writer: Writer, tmp_path: Path) -> None:
    target = tmp_path / "target"
    for text in ("first", "second"):
        with writer(target) as part:
            fill(part, text)
            assert part != target
        assert content(target) == text
        assert list(tmp_path.iterdir()) == [target]


@WRITERS
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_what_was_there(writer: Writer, error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "target"
    with writer(target) as part:
        fill(part, "first")
    with pytest.raises(error), writer(target) as part:  # noqa: PT012
        fill(part, "half")
        raise error
    assert content(target) == "first" and list(tmp_path.iterdir()) == [target]


FAILURES = [(written_whole, "fsync", 1), (written_whole, "replace", 1), (overwritten, "fsync", 1),
            (overwritten, "rename", 1), (overwritten, "rename", 2)]  # fmt: skip


@pytest.mark.parametrize(("writer", "call", "failing"), FAILURES)
def test_a_failing_disk_leaves_what_was_there(
    writer: Writer, call: str, failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, calls = tmp_path / "target", 0
    with writer(target) as part:
        fill(part, "first")
    genuine = getattr(os, call)

    def fails(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(28, "No space left on device")
        return genuine(*given)

    monkeypatch.setattr(os, call, fails)
    with (
        pytest.raises(FileError, match=f"'{target}' cannot be written: No space left on device"),
        writer(target) as part,
    ):
        fill(part, "second")
    assert content(target) == "first" and list(tmp_path.iterdir()) == [target]


KILLED = """
import os, pathlib, signal, sys
from automtl.system.files import folder_written_whole
with folder_written_whole(pathlib.Path(sys.argv[1])) as part:
    (part / "inner.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_was_writing_has_not_the_name_and_can_be_removed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists() and len(list(tmp_path.iterdir())) == 1
    remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_was_writing_goes_when_the_same_is_written_again(tmp_path: Path) -> None:
    target = tmp_path / "target"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    (tmp_path / ".target.00000000-1-00000000.part").mkdir()  # of another machine, where it may be at work
    with folder_written_whole(target) as mine:
        fill(mine, "whole")
        with folder_written_whole(target, overwrite=True) as other:
            names = {mine.name, other.name, ".target.00000000-1-00000000.part"}
            assert {path.name for path in tmp_path.glob("*.part")} == names
            fill(other, "other")
        shutil.rmtree(target)
    assert content(target) == "whole"


def test_a_folder_is_removed_in_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "target").mkdir()
    monkeypatch.setattr("automtl.system.files.shutil.rmtree", lambda path, **_: None)
    remove_at_once(tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not lock folders")
def test_a_folder_is_changed_by_one_at_a_time(tmp_path: Path) -> None:
    with changing(tmp_path), pytest.raises(FileError, match="another process changes"), changing(tmp_path):
        pass
    with changing(tmp_path), changing(tmp_path / "nowhere"):
        assert not list(tmp_path.iterdir())


def test_an_overwrite_that_was_killed_between_its_renames_says_where_the_earlier_folder_is(tmp_path: Path) -> None:
    aside = tmp_path / ".target.replaced"
    aside.mkdir()
    assert left_aside(tmp_path / "target") == aside
    (tmp_path / "target").mkdir()
    assert left_aside(tmp_path / "target") is None


def test_a_folder_that_is_not_empty_or_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="file' is a file; choose another --out"):
        move_whole(tmp_path / "fresh", tmp_path / "file")
    with pytest.raises(FileError, match="full' exists and is not empty; choose another --out, or pass --overwrite"):
        move_whole(tmp_path / "fresh", tmp_path / "full")
    with folder_written_whole(tmp_path / "empty") as part:
        fill(part, "first")
    assert content(tmp_path / "full" / "mine.txt") == content(tmp_path / "file") == "mine"


def test_a_file_needs_a_folder_and_a_name_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="folder '.*nowhere' does not exist; make it first"):
        write_whole(tmp_path / "nowhere" / "file", "text")
    with pytest.raises(FileError, match="is a folder; give the name of a file"):
        write_whole(tmp_path, "text")


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with written_whole(tmp_path / "file") as one, written_whole(tmp_path / "file") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "file").read_text() == "one"


def test_one_process_works_in_a_folder_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "folder"),
        pytest.raises(FileError, match="another process works in '.*folder'"),
        locked(tmp_path / "folder"),
    ):
        raise AssertionError
    with locked(tmp_path / "folder"):
        pass


def test_a_damaged_json_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(FileError, match=r"a\.json' cannot be read \(.*\); fit again"):
        read_json(tmp_path / "a.json", "fit again")
