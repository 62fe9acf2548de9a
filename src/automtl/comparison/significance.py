"""Better, worse or within noise: one model against the best rival of each task (docs/decisions/0014)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from automtl.comparison.statistics import (
    Interval,
    Statistic,
    auc_of_draws,
    holm,
    paired_bootstrap,
    paired_t,
    rmse_of_draws,
)
from automtl.tables.schema import Task, TaskKind
from automtl.training.metrics import METRICS, primary_metric

LEVEL = 0.05
BETTER, WORSE, NOISE = "better", "worse", "within noise"


@dataclass(frozen=True)
class Entrant:
    """A model whose jobs all ended well. `entry`: its part of comparison.json; `tested`: names of records, by seed.

    `control`: a searched model, or a published one with trees beside it: no rival where there are published ones.
    """

    name: str
    control: bool
    entry: dict[str, Any]
    tested: tuple[str, ...]

    def values(self, part: str, task: Task) -> list[float] | None:
        """The task's metric by seed, on `validation` or `test` rows; None where it is undefined."""
        found = [seed[part]["tasks"][task.name][primary_metric(task).name] for seed in self.entry["seeds"]]
        return None if any(isinstance(value, Mapping) for value in found) else found


def judge(
    reference: str,
    entrants: Sequence[Entrant],
    rows: Mapping[str, np.ndarray],
    scores: Callable[[str], np.ndarray],
    tasks: Sequence[Task],
    draws: int = 2000,
) -> dict[str, dict[str, Any]]:
    """A verdict by task. `rows`: labels, mask (N, T), weight (N,) and perhaps group (N,) of the test rows.

    The rival of a task is the best one on validation rows; published models come before controls. A
    task whose metric is undefined has a verdict that says so.
    """
    ours = next(entrant for entrant in entrants if entrant.name == reference)
    others = [entrant for entrant in entrants if entrant.name != reference]
    rivals = [entrant for entrant in others if not entrant.control] or others
    pairs = {index: (ours, rival) for index, task in enumerate(tasks) if (rival := best_rival(rivals, task))}
    draws_of = _draws(pairs, rows, scores, tasks, draws)
    found = {tasks[index].name: _measured(tasks[index], *pair, draws_of[index]) for index, pair in pairs.items()}
    _correct(list(found.values()))
    for index, task in enumerate(tasks):
        if index not in pairs:
            found[task.name] = {"metric": primary_metric(task).name, "rival": None, "verdict": "undefined"}
        found[task.name]["sentence"] = sentence(reference, task.name, found[task.name])
    return {task.name: found[task.name] for task in tasks}


def judge_each(
    reference: str,
    entrants: Sequence[Entrant],
    rows: Mapping[str, np.ndarray],
    scores: Callable[[str], np.ndarray],
    tasks: Sequence[Task],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Verdicts against every other entrant, by its name and task; p-values are corrected over all of them together."""
    ours = next(entrant for entrant in entrants if entrant.name == reference)
    others = [entrant for entrant in entrants if entrant.name != reference]
    found = {other.name: judge(reference, [ours, other], rows, scores, tasks) for other in others}
    defined = [(task, verdict) for verdicts in found.values() for task, verdict in verdicts.items() if verdict["rival"]]
    _correct([verdict for _, verdict in defined])
    for task, verdict in defined:
        verdict["sentence"] = sentence(reference, task, verdict)
    return found


def best_rival(rivals: Sequence[Entrant], task: Task) -> Entrant | None:
    """By the mean over seeds on validation rows."""
    defined = [
        (fmean(found), rival)
        for rival in rivals
        if (found := rival.values("validation", task)) is not None and rival.values("test", task) is not None
    ]
    if not defined:
        return None
    return max(defined, key=lambda pair: primary_metric(task).gain(pair[0], 0.0))[1]


def _draws(
    pairs: Mapping[int, tuple[Entrant, Entrant]],
    rows: Mapping[str, np.ndarray],
    scores: Callable[[str], np.ndarray],
    tasks: Sequence[Task],
    draws: int,
) -> dict[int, np.ndarray]:
    """Gains in each draw, by task: (B,). The same draws serve all tasks; users are drawn where there are groups."""
    units = np.unique(rows["group"], return_inverse=True)[1] if "group" in rows else np.arange(len(rows["weight"]))
    statistics = [
        _gain_of_draws(tasks[index], [_by_seed(index, tasks, rows, units, scores, e.tested) for e in pair])
        for index, pair in pairs.items()
    ]
    found = paired_bootstrap(statistics, int(units.max()) + 1, draws=draws, threads=os.cpu_count() or 1)
    return {index: found[:, place] for place, index in enumerate(pairs)}


def _by_seed(
    index: int,
    tasks: Sequence[Task],
    rows: Mapping[str, np.ndarray],
    units: np.ndarray,
    scores: Callable[[str], np.ndarray],
    tested: Sequence[str],
) -> list[Statistic]:
    """The task's metric of one model as a function of a draw, for each seed."""
    keep = rows["mask"][:, index] > 0
    labels, weights = rows["labels"][keep, index], rows["weight"][keep].astype(np.float64)
    made = auc_of_draws if tasks[index].kind is TaskKind.BINARY else rmse_of_draws
    return [made(labels, scores(name)[keep, index].astype(np.float64), weights, units[keep]) for name in tested]


def _gain_of_draws(task: Task, both: Sequence[Sequence[Statistic]]) -> Statistic:
    """Of means over seeds: the models are compared, not an average of their scores, which would be another model."""
    ours, theirs = both

    def statistic(counts: np.ndarray) -> float:
        return primary_metric(task).gain(fmean(one(counts) for one in ours), fmean(one(counts) for one in theirs))

    return statistic


def _measured(task: Task, ours: Entrant, rival: Entrant, draws: np.ndarray) -> dict[str, Any]:
    """The difference and both p-values."""
    a, b = ours.values("test", task), rival.values("test", task)
    assert a is not None and b is not None
    interval = Interval.of(draws)
    return {
        "metric": primary_metric(task).name,
        "rival": rival.name,
        "ours": fmean(a),
        "theirs": fmean(b),
        "difference": primary_metric(task).gain(fmean(a), fmean(b)),
        "interval": None if interval is None else [interval.low, interval.high],
        "t_p": paired_t(a, b),
        "bootstrap_p": None if interval is None else interval.p,
    }


def _correct(found: Sequence[dict[str, Any]]) -> None:
    """Add corrected p-values and verdicts: 'better' and 'worse' need both tests."""
    for name in ("t_p", "bootstrap_p"):
        for verdict, value in zip(found, holm([verdict[name] for verdict in found]), strict=True):
            verdict[f"holm_{name}"] = value
    for verdict in found:
        p_values = (verdict["holm_t_p"], verdict["holm_bootstrap_p"])
        sure = all(value is not None and value < LEVEL for value in p_values)
        verdict["verdict"] = (BETTER if verdict["difference"] > 0 else WORSE) if sure else NOISE


def sentence(reference: str, task: str, verdict: Mapping[str, Any]) -> str:
    """The verdict in words. p-values are the corrected ones."""
    if verdict["rival"] is None:
        return f"{reference} cannot be judged on {task}: {verdict['metric']} is undefined"
    name, rival = verdict["verdict"], verdict["rival"]
    words = (
        f"{reference} and {rival} are within noise on {task}"
        if name == NOISE
        else f"{reference} is {name} than {rival} on {task}"
    )
    sign = METRICS.find(verdict["metric"]).gain(1, 0)
    low_high = sorted(sign * value for value in verdict["interval"] or ())
    interval = f" (95 % interval {signed(low_high[0])} to {signed(low_high[1])})" if low_high else ""
    over = [
        f"{short(verdict[f'holm_{key}'])} over {what}"
        for key, what in (("t_p", "seeds"), ("bootstrap_p", "rows"))
        if verdict[f"holm_{key}"] is not None
    ]
    known = f", p = {', '.join(over)}" if over else ""
    return f"{words}: {verdict['metric'].upper()} {signed(sign * verdict['difference'])}{interval}{known}"


def overall(reference: str, verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """One sentence on all tasks."""
    if not verdicts:
        return f"{reference} has no rival that ended well: nothing is judged"
    counts = {name: sum(v["verdict"] == name for v in verdicts.values()) for name in (BETTER, NOISE, WORSE)}
    parts = [f"{name} on {count}" for name, count in counts.items() if count]
    return f"{reference} against the best rival of each of {len(verdicts)} tasks: {', '.join(parts) or 'undefined'}"


def signed(value: float) -> str:
    """Four decimals with a sign, without the zero before the point: +.0021."""
    return f"{value:+.4f}".replace("0.", ".", 1)


def short(value: float) -> str:
    """A p-value: .0132, or <.0001."""
    return "<.0001" if value < 1e-4 else f"{value:.4f}".removeprefix("0")
