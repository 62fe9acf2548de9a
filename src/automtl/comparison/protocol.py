"""The protocol of a comparison, the same for all candidates: search, tune on validation rows, test once a seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from automtl.comparison.candidates import CandidateResult
from automtl.comparison.process_pool import Failure
from automtl.comparison.result_store import Result
from automtl.comparison.scheduler import Outcome, Scheduler
from automtl.comparison.trials import Kind, Trial
from automtl.comparison.tuning import Hyperparameters, draw_hyperparameters
from automtl.config import InputPreset, Settings
from automtl.errors import ComparisonError
from automtl.experiment.inputs import is_self_trained

Run: TypeAlias = Callable[[Sequence[Trial]], Awaitable[list[Outcome]]]


@dataclass(frozen=True)
class Plan:
    """Seeds and trials of every candidate. Tuning uses the first seed; `trains`: candidates are not only searched."""

    seeds: tuple[int, ...]
    trials: int
    trains: bool = True


class _TrialFailedError(Exception):
    """A trial without which the candidate cannot go on has no result."""


@dataclass(frozen=True)
class Protocol:
    """The steps of one candidate. `presets`: the inputs it is tuned over; `run`: a function that runs trials."""

    candidate: str
    settings: Settings
    presets: Sequence[InputPreset]
    plan: Plan
    run: Run

    @property
    def tuning_trials(self) -> int:
        """Number of hyperparameters to try: for boosted trees at least one for each preset, as in a fit."""
        return max(self.plan.trials, len(self.presets)) if is_self_trained(self.settings.model) else self.plan.trials

    @property
    def planned(self) -> Counter[Kind]:
        """Number of trials of each kind, unless one fails."""
        seeds, trials = len(self.plan.seeds), self.tuning_trials if self.tuning_trials > 1 else 0
        trained = {Kind.TUNING: trials, Kind.TEST: seeds} if self.plan.trains else {}
        if self.settings.tunes_itself:
            return Counter({Kind.TEST: seeds})
        return Counter({Kind.SEARCH: seeds * self.settings.is_searched} | trained)

    async def choose_inputs(self) -> InputPreset:
        """Find the preset under which the candidate, a small reference model, is best on validation rows.

        Raises ComparisonError if it can be trained under none: then the table or the settings are wrong.
        """
        if len(self.presets) == 1:
            return self.presets[0]
        outcomes = await self._try([Hyperparameters.default(self.settings, preset) for preset in self.presets], {})
        failures = [outcome.message for outcome in outcomes if isinstance(outcome, Failure)]
        if len(failures) == len(outcomes):
            raise ComparisonError(failures[0])
        return self.presets[_best(outcomes)]

    async def complete(self, inputs: InputPreset) -> CandidateResult:
        """Search, tune and test; a candidate that tunes itself is only tested.

        `inputs`: the preset chosen for all candidates, with which tuning begins.
        """
        inputs = min(self.presets, key=lambda preset: (preset != inputs, preset.encoder != inputs.encoder))
        presets = [inputs, *(preset for preset in self.presets if preset != inputs)]
        searches: list[Result] = [{} for _ in self.plan.seeds]
        tuning, tests, seeds, failed = _tuning([], []), list[Trial](), list[Result](), None
        try:
            if self.settings.tunes_itself:
                tests = [Trial(Kind.TEST, self.settings, seed, None, self.candidate) for seed in self.plan.seeds]
                seeds = list(map(_of_seed, _needed(await self.run(tests)), searches))
                return self._result(seeds, tuning, None, tests, searches)
            if self.settings.is_searched:
                searches = await self._search(inputs)
            if self.plan.trains:
                points, outcomes = await self._tune(presets, searches[0])
                tuning, best = _tuning(points, outcomes), points[_best(outcomes)]
                tests = [self._trial(Kind.TEST, best, *one) for one in zip(self.plan.seeds, searches, strict=True)]
                seeds = list(map(_of_seed, _needed(await self.run(tests)), searches))
        except _TrialFailedError as error:
            failed = str(error)
        return self._result(seeds, tuning, failed, tests, searches)

    def _result(
        self, seeds: list[Result], tuning: Result, failed: str | None, tests: Sequence[Trial], searches: list[Result]
    ) -> CandidateResult:
        entry = {"searched": self.settings.is_searched, "seeds": seeds, "tuning": tuning, "failed": failed}
        return CandidateResult(self.candidate, entry, tuple(test.name for test in tests), tuple(searches))

    async def _search(self, inputs: InputPreset) -> list[Result]:
        """Search under the default hyperparameters, once for each seed."""
        default = Hyperparameters.default(self.settings, inputs)
        return _needed(await self.run([self._trial(Kind.SEARCH, default, seed) for seed in self.plan.seeds]))

    async def _tune(
        self, presets: Sequence[InputPreset], search: Result
    ) -> tuple[list[Hyperparameters], list[Outcome]]:
        """Try hyperparameters at the first seed. The default ones must work, others may fail.

        First come the default ones under each preset of the inputs, then drawn ones under the best preset so far.
        """
        points = [Hyperparameters.default(self.settings, preset) for preset in presets[: self.tuning_trials]]
        if self.tuning_trials == 1:
            return points, [{"score": None}]
        outcomes = await self._try(points, search)
        _needed(outcomes[:1])
        best = points[_best(outcomes)].inputs
        further = draw_hyperparameters(self.settings, best, self.tuning_trials - len(points))
        return [*points, *further], [*outcomes, *await self._try(further, search)]

    async def _try(self, points: Sequence[Hyperparameters], search: Result) -> list[Outcome]:
        return await self.run([self._trial(Kind.TUNING, point, self.plan.seeds[0], search) for point in points])

    def _trial(self, kind: Kind, point: Hyperparameters, seed: int, search: Result | None = None) -> Trial:
        architecture = (search or {}).get("architecture")
        return Trial(kind, point.apply(self.settings), seed, architecture, self.candidate)


async def complete_all(
    protocols: Sequence[Protocol], reference: Protocol, scheduler: Scheduler
) -> list[CandidateResult]:
    """Choose the inputs by the reference model, then take all candidates through their protocols side by side."""
    scheduler.expect(reference.candidate, Counter({Kind.TUNING: len(reference.presets)}))
    for protocol in protocols:
        scheduler.expect(protocol.candidate, protocol.planned)
    inputs = await reference.choose_inputs()
    scheduler.close(reference.candidate)

    async def complete(protocol: Protocol) -> CandidateResult:
        result = await protocol.complete(inputs)
        scheduler.close(protocol.candidate)
        return result

    return await asyncio.gather(*map(complete, protocols))


def _needed(outcomes: Sequence[Outcome]) -> list[Result]:
    """Return the results. Raises _TrialFailedError with the messages of the failures, each once."""
    failures = dict.fromkeys(outcome.message for outcome in outcomes if isinstance(outcome, Failure))
    if failures:
        raise _TrialFailedError("; ".join(failures))
    return [outcome for outcome in outcomes if not isinstance(outcome, Failure)]


def _best(outcomes: Sequence[Outcome]) -> int:
    """Return the place of the smallest score on validation rows, or 0 if nothing was tried."""
    scores = {place: outcome["score"] for place, outcome in enumerate(outcomes) if not isinstance(outcome, Failure)}
    return min(scores, key=scores.__getitem__, default=0)


def _tuning(points: Sequence[Hyperparameters], outcomes: Sequence[Outcome]) -> Result:
    """Describe tuning as plain values. `score`: on validation rows, smaller is better; None if untried or failed."""
    trials = []
    for point, outcome in zip(points, outcomes, strict=True):
        found = {"failed": outcome.message} if isinstance(outcome, Failure) else {"score": outcome["score"]}
        trials.append({"settings": point.to_dict(), "score": None} | found)
    return {"chosen": points[_best(outcomes)].to_dict() if points else None, "trials": trials}


def _of_seed(test: Result, search: Result) -> Result:
    """Return one seed's part of a candidate's entry."""
    kept = ("seed", "validation", "test", "parameters", "flops_per_row")
    return {name: test[name] for name in kept} | {
        "seconds": {"search": search.get("seconds", 0.0), "training": test["seconds"]},
        "peak_memory_bytes": max(test["peak_memory_bytes"], search.get("peak_memory_bytes", 0)),
        "architecture": search.get("architecture", test.get("architecture")),
        "ensemble": test.get("ensemble"),
        "gates": test.get("gates"),
    }
