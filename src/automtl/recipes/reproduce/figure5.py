"""Figure 5: the total loss by the number of experts that a task keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

from automtl.config import Settings
from automtl.contenders import DEFAULT, Contender
from automtl.recipes.compare import Evidence
from automtl.recipes.records import Record
from automtl.recipes.reproduce.base import Reproduction, numbers, quality_table, selecting, tested
from automtl.report.charts import Line, lines
from automtl.report.comparison import main_metric
from automtl.report.comparison_text import Table
from automtl.report.picture import Picture
from automtl.report.run import METRIC_NAMES, slug
from automtl.report.words import clean


def _contenders(settings: Settings) -> list[Contender]:
    counts = range(1, settings.space.experts + 1)
    return [Contender(f"keep-{count}", DEFAULT | {"space": {"keep": count}}) for count in counts]


def _gather(evidence: Evidence) -> Record:
    found = tested(evidence)
    kept = {finish.name: count for count, finish in enumerate(evidence.finishes, start=1) if not finish.failed}
    losses = {name: found["models"][name]["summary"]["mtl_loss"]["mean"] for name in kept}
    known = {name: loss for name, loss in losses.items() if loss is not None}
    sentences = []
    if known:
        best, worst = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        sentences.append(
            f"The MTL-Loss on test rows is lowest with K = {kept[best]} of {len(evidence.finishes)} experts "
            f"({known[best]:.4f}), highest with K = {kept[worst]} ({known[worst]:.4f})"
        )
    return found | {"kept": kept, "sentences": sentences}


def _tables(found: Record) -> list[Table]:
    return [quality_table("test rows, mean ± standard deviation over seeds", found, lambda model, task: "")]


def _pictures(found: Record) -> Iterator[Picture]:
    yield from _picture(found, "mtl-loss", "MTL-Loss", lambda test: test["mtl_loss"])
    for index, task in enumerate(found["tasks"]):
        name, metric = task["name"], main_metric(task)
        label = f"{METRIC_NAMES[metric]} of {clean(name)}"
        yield from _picture(found, slug(index, name), label, partial(_metric, name, metric))


def _metric(task: str, metric: str, test: Record) -> Any:
    return test["tasks"][task].get(metric)


def _picture(found: Record, name: str, label: str, value: Callable[[Record], Any]) -> Iterator[Picture]:
    """A line of the means and thin ones of the seeds."""
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
        yield Picture(name, f"{label} by experts kept", f"Mean over seeds: {words}.", figure)


FIGURE5 = Reproduction(
    "FIGURE5", "Figure 5: MTL-Loss by the number of experts kept",
    "the MTL-Loss first falls and then rises with K, the lowest K being smaller for four tasks (3 of 8 on "
    "UserBehavior-2017) than for two (6 of 8 on AliExpress-NL).",
    selecting(_contenders), _gather, _tables, _pictures,
    "Every K is searched, tuned and trained on its own. Which K to use is to be chosen on validation rows; the test "
    "rows only show the course.",
)  # fmt: skip
