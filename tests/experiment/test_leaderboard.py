"""The leaderboard of a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automtl.errors import FileError
from automtl.experiment.leaderboard import read_leaderboard


def test_it_is_read_from_the_history_of_a_run(tmp_path: Path) -> None:
    rows = [{"name": "ensemble"}, {"name": "mmoe"}]
    (tmp_path / "history.json").write_text(json.dumps({"leaderboard": rows}))
    assert read_leaderboard(tmp_path) == rows


def test_a_run_without_one_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("{}")
    with pytest.raises(FileError, match="automtl inspect"):
        read_leaderboard(tmp_path)
    with pytest.raises(FileError):
        read_leaderboard(tmp_path / "none")


def test_a_run_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="none' does not exist; check the path"):
        read_leaderboard(tmp_path / "none")
