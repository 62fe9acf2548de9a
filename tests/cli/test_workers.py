"""`automtl fit --workers N`: one command, several processes, one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from automtl.cli import workers as module
from automtl.cli.workers import _without, run_workers
from automtl.system.cache import VARIABLE, cache, remove_fetched
from tests.test_cli import call

SETTINGS = "model: mmoe\npresets: []\nreport: false\ntraining: {epochs: 1, precision: full}\nnetwork: {dropout: 0.0}\n"


def command(log_file: Path, folder: Path, workers: int, task: str = "click") -> list[str]:
    (folder / "settings.yaml").write_text(SETTINGS)
    fit = ["fit", str(log_file), "--task", task, "--task", "buy", "--drop", "like", "--drop", "cart"]
    fit += ["--config", str(folder / "settings.yaml"), "--workers", str(workers)]
    return [*fit, "--out", str(folder / f"by-{workers}")]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "automtl", *arguments], capture_output=True, text=True, check=False)


def test_two_workers_make_the_model_of_one(log_file: Path, tmp_path: Path) -> None:
    assert call(*command(log_file, tmp_path, 1)) == 0
    done = run(command(log_file, tmp_path, 2))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("files: ") == 1
    one, two = (json.loads((tmp_path / f"by-{count}" / "metrics.json").read_text())["test"] for count in (1, 2))
    assert two["tasks"]["click"]["auc"] == pytest.approx(one["tasks"]["click"]["auc"], abs=1e-4)
    names = [{path.name for path in (tmp_path / f"by-{count}").iterdir()} for count in (1, 2)]
    assert names[0] == names[1] and not list(tmp_path.glob("*.unfinished"))


def test_a_mistake_is_said_once(log_file: Path, tmp_path: Path) -> None:
    done = run(command(log_file, tmp_path, 2, "clack"))
    assert done.returncode == 2 and not (tmp_path / "by-2").exists()
    assert done.stderr.count("error: ") == 1 and "did you mean 'click'" in done.stderr


def test_the_option_alone_is_left_out() -> None:
    assert _without(["fit", "a", "--workers", "2", "--seed", "1"], "--workers") == ["fit", "a", "--seed", "1"]
    assert _without(["--address", "b:1", "fit", "--workers=2", "a"], "--workers", "--address") == ["fit", "a"]


def test_workers_share_what_one_of_them_fetches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = []
    monkeypatch.setattr(module, "_repeated", lambda start: found.append(os.environ.get(VARIABLE)) or 0)
    for table in ("a.csv", "s3://b/a.csv"):
        monkeypatch.setattr(sys, "argv", ["automtl", "fit", table, "--workers", "2"])
        assert run_workers(2) == 0
    assert found == [None, str(cache().folder)]
    remove_fetched()


def test_workers_begin_anew_after_a_kill_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = iter([-signal.SIGKILL, -signal.SIGKILL, 0])
    monkeypatch.setattr(module, "_run", lambda start: next(codes))
    assert run_workers(2) == 0
    assert capsys.readouterr().err.count("ended by SIGKILL") == 2
    monkeypatch.setattr(module, "_run", lambda start: -signal.SIGKILL)
    assert run_workers(2) == 128 + signal.SIGKILL
    monkeypatch.setattr(module, "_run", lambda start: 2)
    assert run_workers(2) == 2
