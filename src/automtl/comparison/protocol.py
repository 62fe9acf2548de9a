"""The course of a model through a comparison: search, tuning on validation rows, then one test for each seed.

A course is a generator: it yields jobs, is sent their outcomes, and returns what became of the model. So all courses
go on side by side, each at its own step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar

from automtl.comparison.process_pool import Failure
from automtl.comparison.result_store import Record
from automtl.comparison.trials import Job, Kind
from automtl.comparison.tuning import Tuned, first_points, further_points
from automtl.config import InputPreset, Settings
from automtl.errors import ComparisonError
from automtl.experiment.inputs import is_self_trained

Result = TypeVar("Result")
Outcome: TypeAlias = Record | Failure
Steps: TypeAlias = Generator[list[Job], list[Outcome], Result]


@dataclass(frozen=True)
class Course(Generic[Result]):
    """`planned`: how many jobs of each kind it takes, unless it fails."""

    name: str
    planned: Counter[Kind]
    steps: Steps[Result]


@dataclass(frozen=True)
class Plan:
    """What is the same for all models. The first seed serves tuning."""

    seeds: tuple[int, ...]
    trials: int


@dataclass(frozen=True)
class Finish:
    """A model at the end of its course. `entry`: its part of comparison.json; `tested`: names of records, by seed.

    `searches`: records of its searches, by seed.
    """

    name: str
    searched: bool
    entry: dict[str, Any]
    tested: tuple[str, ...]
    searches: tuple[Record, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a job that it needs has no result."""
        return self.entry["failed"] is not None


Part: TypeAlias = Callable[[str, Settings, InputPreset, Sequence[InputPreset], Plan], Course[Finish]]


class _CourseError(Exception):
    """A job without which the course cannot go on has no result."""


def choose_inputs(settings: Settings, presets: Sequence[InputPreset], plan: Plan) -> Course[InputPreset]:
    """The preset under which the small reference model is best on validation rows.

    Raises ComparisonError if it can be trained under none: then something is wrong with the table or the settings.
    """
    base = replace(settings, model=settings.reference)
    points = [Tuned.default(base, preset) for preset in presets] if len(presets) > 1 else []
    jobs = [_job("inputs", base, Kind.TRIAL, point, plan.seeds[0]) for point in points]

    def steps() -> Steps[InputPreset]:
        outcomes = yield jobs
        failures = [outcome.message for outcome in outcomes if isinstance(outcome, Failure)]
        if failures and len(failures) == len(outcomes):
            raise ComparisonError(failures[0])
        return presets[_best(outcomes)]

    return Course("inputs", Counter({Kind.TRIAL: len(jobs)}), steps())


def take_part(
    name: str, settings: Settings, inputs: InputPreset, presets: Sequence[InputPreset], plan: Plan
) -> Course[Finish]:
    """`settings`: the contender's. `inputs`: those chosen for all models, where tuning begins. `presets`: its own."""
    if is_self_trained(settings.model):  # judges its inputs itself, as in a fit
        inputs = next(preset for preset in presets if preset.encoder == inputs.encoder)
        plan = replace(plan, trials=max(plan.trials, len(presets)))
    ordered = [inputs, *(preset for preset in presets if preset != inputs)]
    searches, trials = len(plan.seeds) * _is_searched(settings), plan.trials if plan.trials > 1 else 0
    planned = Counter({Kind.SEARCH: searches, Kind.TRIAL: trials, Kind.TEST: len(plan.seeds)})
    return Course(name, planned, _steps(name, settings, ordered, plan))


def _steps(name: str, settings: Settings, presets: Sequence[InputPreset], plan: Plan) -> Steps[Finish]:
    searched, seeds, tuning, failed = _is_searched(settings), [], _tuning([], []), None
    tests: list[Job] = []
    searches: list[Record] = [{} for _ in plan.seeds]
    try:
        if searched:
            searches = yield from _search(name, settings, presets[0], plan)
        points, outcomes = yield from _tune(name, settings, presets, plan, searches[0])
        tuning, best = _tuning(points, outcomes), points[_best(outcomes)]
        tests = [
            _job(name, settings, Kind.TEST, best, seed, found) for seed, found in zip(plan.seeds, searches, strict=True)
        ]
        records = _needed((yield tests))
        seeds = [_of_seed(record, found) for record, found in zip(records, searches, strict=True)]
    except _CourseError as error:
        failed = str(error)
    entry = {"searched": searched, "seeds": seeds, "tuning": tuning, "failed": failed}
    return Finish(name, searched, entry, tuple(job.name for job in tests), tuple(searches))


def search_only(
    name: str, settings: Settings, inputs: InputPreset, presets: Sequence[InputPreset], plan: Plan
) -> Course[Finish]:
    """The searches of a searched model, which are then those of its whole course, and no training."""

    def steps() -> Steps[Finish]:
        searches, failed = [], None
        try:
            searches = yield from _search(name, settings, inputs, plan)
        except _CourseError as error:
            failed = str(error)
        entry = {"searched": True, "seeds": [], "tuning": _tuning([], []), "failed": failed}
        return Finish(name, True, entry, (), tuple(searches))

    return Course(name, Counter({Kind.SEARCH: len(plan.seeds)}), steps())


def _search(name: str, settings: Settings, inputs: InputPreset, plan: Plan) -> Steps[list[Record]]:
    """Under the default settings, once for each seed."""
    default = Tuned.default(settings, inputs)
    return _needed((yield [_job(name, settings, Kind.SEARCH, default, seed) for seed in plan.seeds]))


def _tune(
    name: str, settings: Settings, presets: Sequence[InputPreset], plan: Plan, found: Record
) -> Steps[tuple[list[Tuned], list[Outcome]]]:
    """Points and what they gave at the first seed. The default settings must work, others may fail."""

    def trials(points: Sequence[Tuned]) -> list[Job]:
        return [_job(name, settings, Kind.TRIAL, point, plan.seeds[0], found) for point in points]

    if plan.trials == 1:
        return [Tuned.default(settings, presets[0])], [{"score": None}]
    points = first_points(settings, presets, plan.trials)
    outcomes = yield trials(points)
    _needed(outcomes[:1])
    further = further_points(settings, points[_best(outcomes)].inputs, plan.trials - len(points))
    more = yield trials(further)
    return [*points, *further], [*outcomes, *more]


def _job(name: str, settings: Settings, kind: Kind, point: Tuned, seed: int, found: Record | None = None) -> Job:
    return Job(kind, point.apply(settings), seed, (found or {}).get("architecture"), name)


def _is_searched(settings: Settings) -> bool:
    return settings.model == "automtl"


def _needed(outcomes: Sequence[Outcome]) -> list[Record]:
    """The records. Raises _CourseError with the messages of those that failed, each once."""
    failures = dict.fromkeys(outcome.message for outcome in outcomes if isinstance(outcome, Failure))
    if failures:
        raise _CourseError("; ".join(failures))
    return [outcome for outcome in outcomes if not isinstance(outcome, Failure)]


def _best(outcomes: Sequence[Outcome]) -> int:
    """The place of the smallest score on validation rows; the first one if there is none."""
    scored = [(outcome["score"], place) for place, outcome in enumerate(outcomes) if not isinstance(outcome, Failure)]
    return min(scored)[1] if len(scored) > 1 else scored[0][1] if scored else 0


def _tuning(points: Sequence[Tuned], outcomes: Sequence[Outcome]) -> Record:
    """`score`: of validation rows, smaller is better; None where nothing else was tried, or the trial failed."""
    trials = []
    for point, outcome in zip(points, outcomes, strict=True):
        found = {"failed": outcome.message} if isinstance(outcome, Failure) else {"score": outcome["score"]}
        trials.append({"settings": point.to_dict(), "score": None} | found)
    return {"chosen": points[_best(outcomes)].to_dict() if points else None, "trials": trials}


def _of_seed(record: Record, found: Record) -> Record:
    """A seed's part of the entry."""
    return {
        "seed": record["seed"],
        "validation": record["validation"],
        "test": record["test"],
        "parameters": record["parameters"],
        "flops_per_row": record["flops_per_row"],
        "seconds": {"search": found.get("seconds", 0.0), "training": record["seconds"]},
        "peak_memory_bytes": max(record["peak_memory_bytes"], found.get("peak_memory_bytes", 0)),
        "architecture": found.get("architecture"),
        "ensemble": record.get("ensemble"),
        "gates": record.get("gates"),
    }
