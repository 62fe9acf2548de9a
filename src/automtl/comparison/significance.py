"""Tests whether a model is better, worse or within noise of the best rival of each task (docs/decisions/0014)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np

from automtl.comparison.candidates import CandidateResult
from automtl.comparison.p_values import holm, paired_t
from automtl.tables.schema import Task
from automtl.training.bootstrap import Interval, Statistic, drawn_units, main_metric_of_draws, paired_bootstrap
from automtl.training.metrics import METRICS, primary_metric

LEVEL = 0.05
BETTER, WORSE, NOISE, UNDEFINED = "better", "worse", "within noise", "undefined"
Pair: TypeAlias = tuple[CandidateResult, CandidateResult]  # the reference and its rival


@dataclass(frozen=True)
class Significance:
    """How a model, the reference, differs from its rival on one task; without a rival the metric is undefined.

    `ours`, `theirs`: means of the metric over seeds; `difference`: above 0 where ours is better, with a 95 % interval.
    `t_p`, `bootstrap_p`: p-values over seeds and over test rows; `holm_t_p`, `holm_bootstrap_p`: the corrected ones.
    """

    metric: str
    rival: str | None = None
    ours: float | None = None
    theirs: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    t_p: float | None = None
    bootstrap_p: float | None = None
    holm_t_p: float | None = None
    holm_bootstrap_p: float | None = None

    @property
    def conclusion(self) -> str:
        """The conclusion of both tests together: 'better' and 'worse' need both."""
        if self.difference is None:
            return UNDEFINED
        sure = all(value is not None and value < LEVEL for value in (self.holm_t_p, self.holm_bootstrap_p))
        return (BETTER if self.difference > 0 else WORSE) if sure else NOISE

    def sentence(self, reference: str, task: str) -> str:
        """Put the conclusion into words, with the corrected p-values."""
        if self.difference is None:
            return f"{reference} cannot be judged on {task}: {self.metric} is undefined"
        words = f"is {self.conclusion} than {self.rival}"
        if self.conclusion == NOISE:
            words = f"and {self.rival} are within noise"
        sign = METRICS.find(self.metric).gain(1, 0)
        ends = [_signed(end) for end in sorted(sign * end for end in self.interval or ())]
        interval = f" (95 % interval {' to '.join(ends)})" if ends else ""
        p_values = {"seeds": self.holm_t_p, "rows": self.holm_bootstrap_p}
        known = ", ".join(f"{_p_value(p)} over {what}" for what, p in p_values.items() if p is not None)
        gain = f"{self.metric.upper()} {_signed(sign * self.difference)}{interval}"
        return f"{reference} {words} on {task}: {gain}" + (f", p = {known}" if known else "")

    def to_dict(self, reference: str, task: str) -> dict[str, Any]:
        """Return plain values for JSON, with the conclusion and the sentence."""
        return asdict(self) | {"conclusion": self.conclusion, "sentence": self.sentence(reference, task)}


@dataclass(frozen=True)
class ScoredRows:
    """Test rows and scores. `arrays`: labels, mask (N, T), weight, group (N,); `scores`: (N, T) by test result."""

    arrays: Mapping[str, np.ndarray]
    scores: Callable[[str], np.ndarray]
    tasks: Sequence[Task]
    draws: int = 2000

    @cached_property
    def units(self) -> np.ndarray:
        """Number of each row's unit in a draw, (N,): its group where there are groups, else the row itself."""
        return drawn_units(len(self.arrays["weight"]), self.arrays.get("group"))

    def intervals(self, pairs: Mapping[int, Pair]) -> dict[int, Interval | None]:
        """Bootstrap the differences of pairs, by the place of the task; the same draws serve all tasks."""
        statistics = [self._gain(index, *pair) for index, pair in pairs.items()]
        threads = os.cpu_count() or 1
        found = paired_bootstrap(statistics, int(self.units.max()) + 1, draws=self.draws, threads=threads)
        return {index: Interval.of(found[:, place]) for place, index in enumerate(pairs)}

    def _gain(self, index: int, ours: CandidateResult, theirs: CandidateResult) -> Statistic:
        """Compare means over seeds, not the metric of averaged scores, which would be another model."""
        task, both = self.tasks[index], [self._by_seed(index, result.tests) for result in (ours, theirs)]

        def statistic(counts: np.ndarray) -> float:
            return primary_metric(task).gain(*(fmean(of_seed(counts) for of_seed in of_seeds) for of_seeds in both))

        return statistic

    def _by_seed(self, index: int, tests: Sequence[str]) -> list[Statistic]:
        """Return one model's metric of a task as a function of a draw, for each seed."""
        keep = self.arrays["mask"][:, index] > 0
        labels, weights, units = self.arrays["labels"][keep, index], self.arrays["weight"][keep], self.units[keep]
        task = self.tasks[index]
        return [main_metric_of_draws(task, labels, self.scores(name)[keep, index], weights, units) for name in tests]


def significance(reference: str, results: Sequence[CandidateResult], rows: ScoredRows) -> dict[str, dict[str, Any]]:
    """Test the reference against the best rival of each task; return plain values by task.

    A rival is the best candidate on validation rows; controls are rivals only where there are no published models.
    """
    ours, others = _split(reference, results)
    rivals = [result for result in others if not result.control] or others
    measured = _measured(ours, rivals, rows)
    corrected = dict(zip(measured, _corrected(measured.values()), strict=True))
    return {task: found.to_dict(reference, task) for task, found in corrected.items()}


def significance_of_each(
    reference: str, results: Sequence[CandidateResult], rows: ScoredRows
) -> dict[str, dict[str, dict[str, Any]]]:
    """Test the reference against every other candidate, by its name and task; p-values are corrected over all."""
    ours, others = _split(reference, results)
    measured = {(other.name, task): found for other in others for task, found in _measured(ours, [other], rows).items()}
    by_name: dict[str, dict[str, dict[str, Any]]] = {other.name: {} for other in others}
    for (name, task), found in zip(measured, _corrected(measured.values()), strict=True):
        by_name[name][task] = found.to_dict(reference, task)
    return by_name


def _split(reference: str, results: Sequence[CandidateResult]) -> tuple[CandidateResult, list[CandidateResult]]:
    ours = next(result for result in results if result.name == reference)
    return ours, [result for result in results if result is not ours]


def best_rival(rivals: Sequence[CandidateResult], task: Task) -> CandidateResult | None:
    """Find the best rival by the mean over seeds on validation rows; None where the metric is undefined."""
    defined = [
        (primary_metric(task).gain(fmean(found), 0.0), rival)
        for rival in rivals
        if (found := rival.values("validation", task)) is not None and rival.values("test", task) is not None
    ]
    return max(defined, key=lambda pair: pair[0])[1] if defined else None


def _measured(ours: CandidateResult, rivals: Sequence[CandidateResult], rows: ScoredRows) -> dict[str, Significance]:
    """Compare a model with the best rival of each task, by task, without corrected p-values."""
    found = {index: best_rival(rivals, task) for index, task in enumerate(rows.tasks)}
    pairs = {index: (ours, rival) for index, rival in found.items() if rival is not None}
    intervals = rows.intervals(pairs)
    return {
        task.name: _difference(task, *pairs[index], intervals[index])
        if index in pairs
        else Significance(primary_metric(task).name)
        for index, task in enumerate(rows.tasks)
    }


def _difference(task: Task, ours: CandidateResult, rival: CandidateResult, interval: Interval | None) -> Significance:
    a, b = ours.values("test", task), rival.values("test", task)
    assert a is not None and b is not None
    return Significance(
        primary_metric(task).name, rival.name, fmean(a), fmean(b), primary_metric(task).gain(fmean(a), fmean(b)),
        None if interval is None else (interval.low, interval.high),
        paired_t(a, b), None if interval is None else interval.p,
    )  # fmt: skip


def _corrected(found: Iterable[Significance]) -> list[Significance]:
    """Return all of them with corrected p-values; undefined ones do not count."""
    every = list(found)
    by_seeds, by_rows = holm([one.t_p for one in every]), holm([one.bootstrap_p for one in every])
    return [replace(one, holm_t_p=t, holm_bootstrap_p=b) for one, t, b in zip(every, by_seeds, by_rows, strict=True)]


def overall_sentence(reference: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Sum up all tasks in one sentence."""
    if not found:
        return f"{reference} has no rival with complete results, so nothing is judged"
    conclusions = [one["conclusion"] for one in found.values()]
    parts = [f"{name} on {count}" for name in (BETTER, NOISE, WORSE) if (count := conclusions.count(name))]
    return f"{reference} against the best rival of each of {len(found)} tasks: {', '.join(parts) or UNDEFINED}"


def _signed(value: float) -> str:
    """Write four decimals with a sign, without the zero before the point: +.0021."""
    return f"{value:+.4f}".replace("0.", ".", 1)


def _p_value(value: float) -> str:
    """Write .0132, or <.0001."""
    return "<.0001" if value < 1e-4 else f"{value:.4f}".removeprefix("0")
