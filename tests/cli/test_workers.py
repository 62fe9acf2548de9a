"""`automtl fit --workers N`: one command, several processes, one folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automtl.cli import workers as module
from automtl.cli.progress import SUSPENDED
from automtl.cli.workers import WorkerCount, _without, run_workers
from automtl.errors import SettingsError
from automtl.system.cache import VARIABLE, cache, remove_fetched
from automtl.system.deadline import Suspended
from automtl.system.journal import Journal, State
from tests.test_cli import call

SETTINGS = "model: mmoe\npresets: []\nreport: false\ntraining: {epochs: 1, precision: full}\nnetwork: {dropout: 0.0}\n"


def command(log_file: Path, folder: Path, workers: int, task: str = "click", out: str | None = None) -> list[str]:
    (folder / "settings.yaml").write_text(SETTINGS)
    fit = ["fit", str(log_file), "--task", task, "--task", "buy", "--drop", "like", "--drop", "cart"]
    fit += ["--config", str(folder / "settings.yaml"), "--workers", str(workers)]
    return [*fit, "--out", str(folder / (out or f"by-{workers}"))]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "automtl", *arguments], capture_output=True, text=True, check=False)


def test_two_workers_make_the_model_of_one_and_finish_what_one_has_begun(
    log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*command(log_file, tmp_path, 1)) == 0
    write = Journal.write

    def written_and_ended(journal: Journal, number: int, identity: str, state: State) -> None:
        write(journal, number, identity, state)
        raise Suspended

    monkeypatch.setattr(Journal, "write", written_and_ended)
    assert call(*command(log_file, tmp_path, 1, out="by-2")) == SUSPENDED
    done = run(command(log_file, tmp_path, 2))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("files: ") == 1 and "going on by 2 in place of 1 of the workers" in done.stderr
    one, two = (json.loads((tmp_path / f"by-{count}" / "metrics.json").read_text()) for count in (1, 2))
    assert (one["made"]["workers"], two["made"]["workers"]) == ([1], [1, 2])
    assert two["test"]["tasks"]["click"]["auc"] == pytest.approx(one["test"]["tasks"]["click"]["auc"], abs=1e-4)
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
    monkeypatch.setattr(module, "_repeated", lambda *given: found.append(os.environ.get(VARIABLE)) or 0)
    for table in ("a.csv", "s3://b/a.csv"):
        monkeypatch.setattr(sys, "argv", ["automtl", "fit", table, "--workers", "2"])
        assert run_workers(WorkerCount(2, 2)) == 0
    assert found == [None, str(cache().folder)]
    remove_fetched()


def ending(monkeypatch: pytest.MonkeyPatch, code: Callable[[int], int]) -> list[int]:
    """Let all workers end at once by the code of their number; the numbers that began, one after another."""
    begun = []

    def run_once(start: Any) -> tuple[int, int]:
        begun.append(start.args[-2].most)
        return code(begun[-1]), begun[-1]

    monkeypatch.setattr(module, "_run", run_once)
    return begun


def test_workers_begin_anew_after_a_kill_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = iter([-signal.SIGKILL, -signal.SIGKILL, 0])
    ending(monkeypatch, lambda count: next(codes))
    assert run_workers(WorkerCount(2, 2)) == 0
    assert capsys.readouterr().err.count("ended by SIGKILL; all go on from the last state\n") == 2
    begun = ending(monkeypatch, lambda count: -signal.SIGKILL)
    assert run_workers(WorkerCount(2, 2)) == 128 + signal.SIGKILL and begun == [2, 2, 2, 2]
    begun = ending(monkeypatch, lambda count: 2)
    assert run_workers(WorkerCount(2, 4)) == 2 and begun == [4]


def test_after_three_failures_there_is_one_worker_fewer_down_to_the_least(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = ending(monkeypatch, lambda count: -signal.SIGKILL if count > 2 else 0)
    assert run_workers(WorkerCount(1, 4)) == 0 and begun == [4, 4, 4, 3, 3, 3, 2]
    said = capsys.readouterr().err
    assert "now by 3 in place of 4" in said and "now by 2 in place of 3" in said
    begun = ending(monkeypatch, lambda count: -signal.SIGKILL)
    assert run_workers(WorkerCount(3, 4)) == 128 + signal.SIGKILL and begun == [4, 4, 4, 3, 3, 3, 3]


@pytest.mark.parametrize("text", ["0", "", "-1", "two", "4:2", "0:2", "2:", ":2", "1:2:3", "1.5"])
def test_a_number_of_workers_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--workers '{text}' is no number of workers above 0"):
        WorkerCount.read(text)
    assert WorkerCount.read(" 3 ") == WorkerCount(3, 3) and WorkerCount.read("2:4") == WorkerCount(2, 4)


LAUNCH = """
import sys
from automtl.cli import workers
arguments = ["-c", "import time; time.sleep(600)"]
with workers._here(arguments, workers.WorkerCount(2, 2), 0) as running:
    print(*(one.pid for one in running), flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_workers_end_with_the_process_that_started_them() -> None:
    command = [sys.executable, "-c", LAUNCH]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        workers = [int(one) for one in launcher.stdout.readline().split()]
        launcher.kill()
    assert len(workers) == 2
    end = time.monotonic() + 60
    while any(map(is_running, workers)):
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Tell whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
