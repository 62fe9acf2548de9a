"""Processes work side by side, are lost alone, and end with us."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from automtl.comparison.process_pool import THREADS, Failure, working

_folder: Path | None = None


def prepare(folder: Path) -> None:
    global _folder
    _folder = folder


def work(job: str) -> Failure | None:
    """`sleep`, `die`, `fail`, or the name of a file to write."""
    assert _folder is not None
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "fail":
        return Failure("cannot")
    if job == "sleep":
        (_folder / f"{os.getpid()}.pid").touch()
        time.sleep(600)
    (_folder / job).write_text(os.environ[THREADS])
    return None


def test_a_process_that_is_killed_loses_its_job_alone_and_none_outlives_us(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv(THREADS, raising=False)
    with working(2, 3, work, prepare, (tmp_path,)) as workers:
        workers.start("one")
        workers.start("die")
        ended = {}
        while workers.running:
            ended.update(workers.finished())
        assert ended["one"] is None and (tmp_path / "one").read_text() == "3"
        assert ended["die"] is not None and ended["die"].killed and "memory" in ended["die"].message
        workers.start("fail")
        workers.start("sleep")
        assert workers.finished() == [("fail", Failure("cannot"))]
        while not (sleeping := list(tmp_path.glob("*.pid"))):
            time.sleep(0.05)
    assert THREADS not in os.environ
    process = int(sleeping[0].stem)
    deadline = time.monotonic() + 20
    while _alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
