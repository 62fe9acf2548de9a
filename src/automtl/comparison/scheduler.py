"""Shares the worker processes between the protocols of all candidates and reports how far they are."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol, TypeAlias

from automtl.comparison.process_pool import Failure
from automtl.comparison.result_store import Result, ResultStore
from automtl.comparison.trials import Kind, Trial
from automtl.system.progress import Callback, Event

Outcome: TypeAlias = Result | Failure
Planned: TypeAlias = Counter[tuple[str, Kind]]  # number of trials by candidate and kind


@dataclass(frozen=True)
class ComparisonProgress(Event):
    """How many trials of a comparison are done, and which are `running`.

    `reused`: how many of the done ones are results of an earlier run. `ended`: the trial that has just ended;
    `failure`: why it has no result.
    """

    done: int
    total: int
    running: tuple[str, ...]
    seconds_left: float | None
    reused: int = 0
    ended: str | None = None
    failure: str | None = None


class Pool(Protocol):
    """Anything that runs trials, `count` at a time. `running`: the trials being run."""

    count: int
    running: list[Trial]

    async def run(self, trial: Trial, started: Callable[[], None] = ...) -> Failure | None:
        """Run a trial when there is room for it, which leaves its result in the store; `started` is called then."""


class Scheduler:
    """Runs trials in the processes of a pool: equal ones once, and none whose result the store has.

    Trials run in the order in which their protocols request them, so that candidates advance together.
    """

    def __init__(self, pool: Pool, store: ResultStore, callback: Callback) -> None:
        self.pool, self.store, self.callback = pool, store, callback
        self.planned: Planned = Counter()
        self.tasks: dict[str, asyncio.Task[Outcome]] = {}
        self.requested: list[Trial] = []
        self.known: set[str] = set()
        self.closed: Planned = Counter()
        self.seconds: dict[tuple[str, Kind], list[float]] = defaultdict(list)
        self.reused = 0

    def expect(self, candidate: str, planned: Counter[Kind]) -> None:
        """Add planned trials to the total, from which the progress and the time left are computed."""
        self.planned.update({(candidate, kind): count for kind, count in planned.items()})

    async def run(self, trials: Sequence[Trial]) -> list[Outcome]:
        """Run trials and return their outcomes in the same order."""
        self.requested += trials
        for trial in trials:
            if trial.name not in self.tasks:
                self.tasks[trial.name] = asyncio.create_task(self._outcome(trial))
        return await asyncio.gather(*(self.tasks[trial.name] for trial in trials))

    def close(self, candidate: str) -> None:
        """Count the planned trials of a candidate as done: its protocol has ended, perhaps early."""
        self.closed.update({key: count for key, count in self.planned.items() if key[0] == candidate})

    async def _outcome(self, trial: Trial) -> Outcome:
        result = self.store.get(trial.name)
        if result is not None:
            self.reused += 1
            return self._known(trial, result)
        failure = await self.pool.run(trial, self._report)
        outcome = self._known(trial, failure or self.store.get(trial.name))
        self._report(trial.label, failure)
        return outcome

    def _known(self, trial: Trial, outcome: Outcome | None) -> Outcome:
        assert outcome is not None, "a trial without a failure has written its result"
        self.known.add(trial.name)
        if not isinstance(outcome, Failure):
            self.seconds[trial.candidate, trial.kind].append(outcome["trial_seconds"])
        return outcome

    def _report(self, ended: str | None = None, failure: Failure | None = None) -> None:
        done = Counter((one.candidate, one.kind) for one in self.requested if one.name in self.known) | self.closed
        left = [self._mean(key) * count for key, count in (self.planned - done).items()]
        self.callback(
            ComparisonProgress(
                done=done.total(),
                total=self.planned.total(),
                running=tuple(trial.label for trial in self.pool.running),
                seconds_left=sum(left) / self.pool.count if self.seconds else None,
                reused=self.reused,
                ended=ended,
                failure=failure.message if failure else None,
            )
        )

    def _mean(self, key: tuple[str, Kind]) -> float:
        """Return mean seconds of a trial of this candidate and kind, else of the kind, else of all that have ended."""
        alike = [value for (_, kind), values in self.seconds.items() if kind is key[1] for value in values]
        every = [value for values in self.seconds.values() for value in values]
        return fmean(self.seconds.get(key) or alike or every or [0.0])
