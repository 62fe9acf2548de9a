"""Figure 5: the total loss by the number of experts that a task keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

from automtl.comparison.candidates import DEFAULT, Candidate
from automtl.comparison.result_store import Result
from automtl.comparison.summary import Comparison
from automtl.config import Settings
from automtl.paper.base import SEARCHED, Reproduction, numbers, quality_table, selecting
from automtl.report.charts import Line, lines
from automtl.report.picture import Picture
from automtl.report.text import Table, spread_text
from automtl.report.words import METRIC_NAMES, clean, main_metric, slug


def _candidates(settings: Settings) -> list[Candidate]:
    counts = range(1, settings.space.experts + 1)
    return [Candidate(f"keep-{count}", DEFAULT | {"space": {"keep": count}}) for count in counts]


def _gather(comparison: Comparison) -> Result:
    found = comparison.summary(SEARCHED)
    kept = {result.name: count for count, result in enumerate(comparison.results, start=1) if not result.failed}
    return found | {"kept": kept, "sentences": _sentences(found["models"], kept, len(comparison.results))}


def _sentences(models: Result, kept: dict[str, int], experts: int) -> list[str]:
    chosen, seen = (_by_loss(models, kept, part) for part in ("validation", "test"))
    if not (chosen and seen):
        return []
    best, worst = (
        f"K = {kept[name]} ({spread_text(models[name]['summary']['mtl_loss'])})" for name in (seen[0], seen[-1])
    )
    return [
        f"Of {experts} experts, K = {kept[chosen[0]]} has the lowest MTL-Loss on validation rows",
        f"On test rows the lowest is that of {best}, the highest that of {worst}",
    ]


def _by_loss(models: Result, kept: dict[str, int], part: str) -> list[str]:
    """Sort models by their mean MTL-Loss, the lowest first, without those whose loss is undefined."""
    losses = {name: numbers(seed[part]["mtl_loss"] for seed in models[name]["seeds"]) for name in kept}
    return sorted((name for name in losses if losses[name]), key=lambda name: fmean(losses[name]))


def _tables(found: Result) -> list[Table]:
    return [quality_table(found)]


def _pictures(found: Result) -> Iterator[Picture]:
    yield from _picture(found, "mtl-loss", "MTL-Loss", "MTL-Loss", lambda test: test["mtl_loss"])
    for index, task in enumerate(found["tasks"]):
        name, metric = task["name"], main_metric(task["kind"])
        title = f"{METRIC_NAMES[metric]} of {clean(name)}"
        yield from _picture(found, slug(index, name), title, METRIC_NAMES[metric], partial(_metric, name, metric))


def _metric(task: str, metric: str, test: Result) -> Any:
    return test["tasks"][task].get(metric)


def _picture(found: Result, name: str, title: str, label: str, value: Callable[[Result], Any]) -> Iterator[Picture]:
    """Draw a line of the means, and thin lines of the seeds."""
    values = {
        kept: numbers(value(seed["test"]) for seed in found["models"][model]["seeds"])
        for model, kept in found["kept"].items()
    }
    known = {kept: of_seeds for kept, of_seeds in values.items() if of_seeds}
    if known:
        counts, means = list(known), [fmean(of_seeds) for of_seeds in known.values()]
        seeds = [Line("", counts, of_seed, muted=True) for of_seed in zip(*known.values(), strict=False)]
        words = ", ".join(f"{mean:.4f} with {kept}" for kept, mean in zip(counts, means, strict=True))
        figure = lines([*seeds, Line("mean", counts, means)], "experts kept by a task", label)
        yield Picture(name, f"{title} by experts kept", f"Mean over seeds: {words}.", figure)


FIGURE5 = Reproduction(
    "FIGURE5", "Figure 5: MTL-Loss by the number of experts kept",
    "the MTL-Loss first falls and then rises with K, the best K being smaller for four tasks (3 of 8 on "
    "UserBehavior-2017) than for two (6 of 8 on AliExpress-NL).",
    selecting(_candidates), _gather, _tables, _pictures,
    "Every K is searched, tuned and trained on its own. Which K to use is to be chosen on validation rows; the test "
    "rows only show the curve. Thin lines are seeds.",
)  # fmt: skip
