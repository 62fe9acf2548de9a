"""Figure 3: which experts the tasks select, with and without the auxiliary loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from math import dist
from statistics import fmean

from automtl.comparison.result_store import Result
from automtl.comparison.summary import Comparison, spread
from automtl.paper.base import SEARCHED, Reproduction, count_text, named, search_histories, selecting, summary_table
from automtl.report.architecture import num_experts
from automtl.report.charts import grid
from automtl.report.picture import Picture
from automtl.report.run import selection_pictures
from automtl.report.text import Table, spread_text

WITHOUT = "no-auxiliary-loss"
TITLES = {SEARCHED: "with auxiliary loss", WITHOUT: "without"}


def _gather(comparison: Comparison) -> Result:
    searches = search_histories(comparison, "beta", "architecture")
    ends = {name: [_end(search["records"][-1]) for search in of_seeds] for name, of_seeds in searches.items()}
    summary = {name: {key: spread(end[key] for end in of if end[key] is not None) for key in of[0]}
               for name, of in ends.items()}  # fmt: skip
    tasks = [{"name": task.name, "kind": str(task.kind)} for task in comparison.schema.tasks]
    return {"tasks": tasks, "searches": searches, "summary": summary, "sentences": _sentences(summary)}


def _end(record: Result) -> Result:
    """Measure how tasks differ: mean distance of their weights, number of experts in use, mean largest weight."""
    weights = record["beta"]
    distances = [dist(one, other) for one, other in combinations(weights, 2)]
    return {
        "distance": fmean(distances) if distances else None,
        "experts": num_experts(record["architecture"]),
        "largest": fmean(map(max, weights)),
    }


def _sentences(summary: Result) -> list[str]:
    if len(summary) < 2 or not summary[SEARCHED]["distance"]["n"]:
        return []
    apart = [f"{summary[name]['distance']['mean']:.3f} {TITLES[name]}" for name in TITLES]
    used = [f"{summary[name]['experts']['mean']:.1f} {TITLES[name]}" for name in TITLES]
    return [
        f"At the end of the search the distance between the weights of two tasks is {' and '.join(apart)} (mean "
        "Euclidean distance; 0: equal weights, 1.41: each its own expert)",
        f"Experts that at least one task keeps: {' and '.join(used)}",
    ]


def _tables(found: Result) -> list[Table]:
    columns = {
        "distance": ("distance of tasks", spread_text), "experts": ("experts in use", count_text),
        "largest": ("largest weight", spread_text),
    }  # fmt: skip
    return [summary_table(found, columns, TITLES)]


def _pictures(found: Result) -> Iterator[Picture]:
    """Draw tasks by experts at the end, then each task over the search, for the first seed."""
    tasks = [task["name"] for task in found["tasks"]]
    first = {name: searches[0]["records"] for name, searches in found["searches"].items()}
    peak = max((max(map(max, records[-1]["beta"])) for records in first.values()), default=1.0)
    for name, records in first.items():
        last = records[-1]["beta"]
        columns = [f"E{expert}" for expert in range(len(last[0]))]
        words = "; ".join(
            f"{task}: " + ", ".join(f"{weight:.2f}" for weight in row) for task, row in zip(tasks, last, strict=True)
        )
        title = f"At the end, {TITLES[name]}"
        yield Picture(f"end-{name}", title, f"Weights of experts by task. {words}.", grid(last, tasks, columns, peak))
    for name, records in first.items():
        for picture in selection_pictures(records, tasks):
            yield replace(picture, name=f"{name}-{picture.name}", title=f"{picture.title}, {TITLES[name]}")


FIGURE3 = Reproduction(
    "FIGURE3", "Figure 3: expert selection over the search",
    "on UserBehavior-2017 the four tasks select different experts with the auxiliary loss; without it all tasks gather "
    "on the same few.",
    selecting(named(SEARCHED, WITHOUT)), _gather, _tables, _pictures,
    "Depth of colour is the weight of an expert (softmax of beta) for a task; dots mark those kept. Pictures show the "
    "first seed, the table all.",
    trains=False,
)  # fmt: skip
