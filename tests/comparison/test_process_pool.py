"""Processes work side by side, are lost alone, and end with us."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

import pytest

from automtl.comparison.process_pool import THREADS, Failure, ProcessPool, Watch, alive

_folder: Path | None = None


def start(folder: Path) -> None:
    global _folder
    _folder = folder


def work(trial: str) -> Failure | None:
    """`sleep`, `die`, `die once`, `fail`, `hang`, or the name of a file to write."""
    assert _folder is not None
    if trial == "die" or (trial == "die once" and not (_folder / trial).exists()):
        (_folder / trial).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if trial == "fail":
        return Failure("cannot")
    if trial == "hang":
        time.sleep(600)
    if trial == "sleep":
        (_folder / f"{os.getpid()}.pid").touch()
        time.sleep(600)
    with (_folder / "order").open("a") as file:
        file.write(f"{trial} with {os.environ[THREADS]} threads\n")
    return None


def run(folder: Path, trials: list[str], processes: int, **named: float) -> list[Failure | None]:
    async def all_of_them() -> list[Failure | None]:
        return await asyncio.gather(*map(pool.run, trials))

    with closing(ProcessPool(processes, work, start, folder, **named)) as pool:
        return asyncio.run(all_of_them())


def test_a_killed_process_loses_its_own_trial_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    one, died, failed, two = run(tmp_path, ["one", "die", "fail", "two"], 2)
    assert one is None and two is None and failed == Failure("cannot")
    assert died is not None and "memory; try fewer --jobs" in died.message
    assert sorted((tmp_path / "order").read_text().splitlines()) == ["one with 3 threads", "two with 3 threads"]
    assert THREADS not in os.environ


def test_a_trial_whose_process_is_killed_once_waits_in_line_again(tmp_path: Path) -> None:
    assert run(tmp_path, ["die once", "one", "two"], 1) == [None, None, None]
    order = [line.split(" with ")[0] for line in (tmp_path / "order").read_text().splitlines()]
    assert order == ["one", "two", "die once"]


def test_a_process_that_does_nothing_is_ended_and_its_trial_not_tried_again(tmp_path: Path) -> None:
    hung, one = run(tmp_path, ["hang", "one"], 1, hang_after=8.0)
    assert one is None and hung is not None
    assert "did nothing for " in hung.message and "--hang-after" in hung.message


def test_only_a_count_that_stands_still_hangs() -> None:
    now = [0.0]
    watch = Watch(10.0, lambda: now[0])
    looks = []
    for now[0], count in ((9, 0), (18, 1), (27, 2), (36, 2), (37, 2), (38, 3)):
        looks.append(watch.hangs(count))
    assert looks == [False, False, False, False, True, False]
    alive()  # outside of a pool it counts nothing


def test_after_ctrl_c_no_process_outlives_the_pool(tmp_path: Path) -> None:
    async def until_it_sleeps() -> None:
        trial = asyncio.create_task(pool.run("sleep"))
        while not list(tmp_path.glob("*.pid")):
            await asyncio.sleep(0.02)
        assert pool.running == ["sleep"]
        signal.raise_signal(signal.SIGINT)
        await trial

    with closing(ProcessPool(1, work, start, tmp_path)) as pool, pytest.raises(KeyboardInterrupt):
        asyncio.run(until_it_sleeps())
    (process,) = (int(path.stem) for path in tmp_path.glob("*.pid"))
    deadline = time.monotonic() + 20
    while _alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process)


def test_a_closed_pool_ends_what_it_runs_and_tries_nothing_again(tmp_path: Path) -> None:
    async def closed_while_it_sleeps() -> None:
        trial = asyncio.create_task(pool.run("sleep"))
        while not list(tmp_path.glob("*.pid")):
            await asyncio.sleep(0.02)
        pool.close()
        await trial

    with closing(ProcessPool(1, work, start, tmp_path)) as pool, pytest.raises(BrokenProcessPool):
        asyncio.run(closed_while_it_sleeps())


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
