"""Trials run once, those of the store not at all, and every step is reported."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automtl.comparison.process_pool import Failure
from automtl.comparison.result_store import ResultStore
from automtl.comparison.scheduler import ComparisonProgress, Scheduler
from automtl.comparison.trials import Kind, Trial
from automtl.config import Settings


class FakePool:
    """Writes a result at once, or fails, as `failing` says."""

    count = 2

    def __init__(self, store: ResultStore, failing: tuple[int, ...] = ()) -> None:
        self.store, self.failing = store, failing
        self.running: list[Trial] = []
        self.ran: list[str] = []

    async def run(self, trial: Trial, started: Callable[[], None]) -> Failure | None:
        self.running.append(trial)
        started()
        await asyncio.sleep(0)
        self.running.remove(trial)
        self.ran.append(trial.label)
        if trial.seed in self.failing:
            return Failure("no luck")
        self.store.put(trial.name, {"seed": trial.seed, "trial_seconds": 4.0})
        return None


def trial(seed: int, candidate: str = "ours", kind: Kind = Kind.TEST) -> Trial:
    return Trial(kind, Settings(), seed, candidate=candidate)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    found = ResultStore(tmp_path / "results")
    found.open({}, overwrite=False)
    return found


def run(pool: FakePool, *batches: list[Trial]) -> tuple[list[Any], list[ComparisonProgress]]:
    """Outcomes of batches that are asked for at the same time, and all progress."""
    heard: list[Any] = []
    scheduler = Scheduler(pool, pool.store, heard.append)  # type: ignore[arg-type]
    for candidate in ("ours", "mmoe"):
        scheduler.expect(candidate, Counter({Kind.TEST: 3}))

    async def all_of_them() -> list[Any]:
        found = await asyncio.gather(*map(scheduler.run, batches))
        scheduler.close("ours")
        await scheduler.run([trial(9, "mmoe")])
        return found

    return asyncio.run(all_of_them()), heard


def test_equal_trials_of_different_candidates_run_once(store: ResultStore) -> None:
    pool = FakePool(store)
    (ours, mmoe), heard = run(pool, [trial(0), trial(1)], [trial(1, "mmoe"), trial(2, "mmoe")])
    assert [outcome["seed"] for outcome in [*ours, *mmoe]] == [0, 1, 1, 2]
    assert pool.ran == ["ours test 0", "ours test 1", "mmoe test 2", "mmoe test 9"]
    assert [one.done for one in heard if one.ended] == [1, 3, 4, 6]
    assert heard[-1].total == 6


def test_what_the_store_has_is_not_run_again(store: ResultStore) -> None:
    run(FakePool(store), [trial(0), trial(1)])
    pool = FakePool(store)
    (ours,), heard = run(pool, [trial(0), trial(1)])
    assert [outcome["seed"] for outcome in ours] == [0, 1]
    assert pool.ran == [] and heard == []
    _, heard = run(FakePool(store), [trial(0), trial(2)])
    assert [(one.reused, one.ended) for one in heard] == [(1, None), (1, "ours test 2")]


def test_a_failure_is_reported_and_leaves_the_other_trials(store: ResultStore) -> None:
    ((failed, found),), heard = run(FakePool(store, failing=(0,)), [trial(0), trial(1)])
    assert failed == Failure("no luck") and found["seed"] == 1
    assert [(one.ended, one.failure) for one in heard if one.failure] == [("ours test 0", "no luck")]


def test_progress_counts_trials_that_will_not_be_run_and_tells_the_time_left(store: ResultStore) -> None:
    _, heard = run(FakePool(store), [trial(0)])
    first, ended, last_started, last = heard
    assert (first.done, first.seconds_left, first.running) == (0, None, ("ours test 0",))
    assert (ended.done, ended.seconds_left) == (1, 5 * 4.0 / 2)
    assert (last_started.done, last_started.seconds_left) == (3, 3 * 4.0 / 2)  # all of "ours": it ended early
    assert (last.done, last.seconds_left) == (4, 2 * 4.0 / 2)


def test_the_time_left_goes_by_the_candidate_and_kind_then_by_the_kind(store: ResultStore) -> None:
    scheduler = Scheduler(FakePool(store), store, lambda event: None)  # type: ignore[arg-type]
    scheduler.seconds.update({("ours", Kind.TEST): [1.0, 3.0], ("mmoe", Kind.TUNING): [10.0]})
    keys = ("ours", Kind.TEST), ("ple", Kind.TEST), ("ours", Kind.TUNING), ("ours", Kind.SEARCH)
    assert [scheduler._mean(key) for key in keys] == [2.0, 2.0, 10.0, pytest.approx(14 / 3)]


def test_an_error_of_the_callback_ends_the_comparison(store: ResultStore) -> None:
    def stop(event: object) -> None:
        raise KeyboardInterrupt

    scheduler = Scheduler(FakePool(store), store, stop)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(scheduler.run([trial(0), trial(1)]))
