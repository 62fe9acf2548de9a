"""Courses side by side: their jobs go to processes, finished ones are taken from the records, all is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from automtl.comparison.process_pool import Failure, Workers
from automtl.comparison.protocol import Course, Outcome
from automtl.comparison.result_store import Records
from automtl.comparison.trials import Job, Kind
from automtl.system.progress import Callback, Event

Result = TypeVar("Result")
LOOK_SECONDS = 1.0  # between two tellings while nothing ends


@dataclass(frozen=True)
class Standing(Event):
    """How far it is. `running`: jobs at work. `ended`: one that has just ended, `failure`: why it has no result.

    `kept`: how many of those done come from an earlier, interrupted run.
    """

    done: int
    total: int
    running: tuple[str, ...]
    seconds_left: float | None
    kept: int = 0
    ended: str | None = None
    failure: str | None = None


class Conductor:
    """Leads courses to their ends. `planned`: jobs of all courses to come, by name and kind, for the time left."""

    def __init__(
        self, workers: Workers[Job], records: Records, callback: Callback, planned: Counter[tuple[str, Kind]]
    ) -> None:
        self.workers, self.records, self.callback, self.planned = workers, records, callback, planned
        self.passed: Counter[tuple[str, Kind]] = Counter()
        self.outcomes: dict[str, Outcome] = {}
        self.seconds: dict[tuple[str, Kind], list[float]] = defaultdict(list)
        self.waiting: dict[int, tuple[Course[Any], list[Job]]] = {}
        self.again: set[str] = set()
        self.kept = 0

    def conduct(self, courses: Sequence[Course[Result]]) -> list[Result]:
        """What the courses return, in their order."""
        results: dict[int, Result] = {}
        for place, course in enumerate(courses):
            self._advance(place, course, None, results)
        while self.waiting:
            ready = [p for p, (_, batch) in self.waiting.items() if all(job.name in self.outcomes for job in batch)]
            for place in ready:
                course, batch = self.waiting.pop(place)
                self.passed.update((course.name, job.kind) for job in batch)
                self._advance(place, course, [self.outcomes[job.name] for job in batch], results)
            if not ready:
                self._work([job for _, batch in self.waiting.values() for job in batch])
        return [results[place] for place in range(len(courses))]

    def _advance(
        self, place: int, course: Course[Result], outcomes: list[Outcome] | None, results: dict[int, Result]
    ) -> None:
        try:
            self.waiting[place] = course, course.steps.send(outcomes)  # type: ignore[arg-type]
        except StopIteration as end:
            results[place] = end.value
            for kind, count in course.planned.items():
                self.passed[course.name, kind] = count

    def _work(self, jobs: Sequence[Job]) -> None:
        """Take what is in the records; if there is none, start what can be started and wait until something ends."""
        running = {job.name for job, _ in self.workers.running.values()}
        due = {job.name: job for job in jobs if job.name not in self.outcomes and job.name not in running}
        due = dict(sorted(due.items(), key=lambda item: item[0] in self.again))
        found = {name: record for name in due if (record := self.records.get(name)) is not None}
        for name, record in found.items():
            self.kept += 1
            self._end(due[name], record)
        if found:
            return
        for job in list(due.values())[: len(self.workers.idle)]:
            self.workers.start(job)
        self._tell()
        for job, failure in self.workers.finished(LOOK_SECONDS):
            if failure is not None and failure.killed and job.name not in self.again:
                self.again.add(job.name)  # once more, and not at once
                continue
            outcome = failure or self.records.get(job.name)
            assert outcome is not None, "a job without a failure has written its record"
            self._end(job, outcome)
            self._tell(job.label, failure)

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.name] = outcome
        if not isinstance(outcome, Failure):
            self.seconds[job.model, job.kind].append(outcome["job_seconds"])

    def _tell(self, ended: str | None = None, failure: Failure | None = None) -> None:
        done = Counter(self.passed)
        for course, batch in self.waiting.values():
            done.update((course.name, job.kind) for job in batch if job.name in self.outcomes)
        running = tuple(job.label for job, _ in self.workers.running.values())
        slots = len(self.workers.idle) + len(self.workers.running)
        left = {key: count - done[key] for key, count in self.planned.items()}
        seconds = None if not self.seconds else sum(count * self._mean(key) for key, count in left.items()) / slots
        self.callback(
            Standing(
                done.total(),
                self.planned.total(),
                running,
                seconds,
                self.kept,
                ended,
                failure.message if failure else None,
            )
        )

    def _mean(self, key: tuple[str, Kind]) -> float:
        """Seconds of a job: of this model's, else of its kind, else of all that have ended."""
        own = self.seconds.get(key)
        alike = [value for (_, kind), values in self.seconds.items() if kind is key[1] for value in values]
        return fmean(own or alike or [value for values in self.seconds.values() for value in values])
