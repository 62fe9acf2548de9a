"""Table 4: the cost of a search, compared with retraining its result and with published models."""

from __future__ import annotations

from statistics import fmean

from automtl.comparison.result_store import Result
from automtl.comparison.summary import Comparison, spread
from automtl.paper.base import SEARCHED, Reproduction, named
from automtl.paper.table3 import MODELS
from automtl.report.comparison import comparison_pictures
from automtl.report.text import Table, cost_table
from automtl.report.words import seconds


def _gather(comparison: Comparison) -> Result:
    found = comparison.summary(SEARCHED)
    costs = {name: _costs(model["seeds"]) for name, model in found["models"].items() if model["seeds"]}
    return found | {"significance": {}, "costs": costs, "sentences": _sentences(costs)}


def _costs(seeds: list[Result]) -> Result:
    """Summarize the cost of a model over seeds."""
    times = {f"{part}_seconds": spread(seed["seconds"][part] for seed in seeds) for part in ("search", "training")}
    counts = {
        name: spread(seed[name] for seed in seeds if seed[name] is not None)
        for name in ("parameters", "flops_per_row", "peak_memory_bytes")
    }
    return times | counts


def _sentences(costs: Result) -> list[str]:
    if SEARCHED not in costs:
        return []
    ours = costs[SEARCHED]
    search, training = ours["search_seconds"]["mean"], ours["training_seconds"]["mean"]
    found = [f"The search takes {seconds(search)}, {search / training:.1f} times as long as retraining what it found"]
    others = [cost["training_seconds"]["mean"] for cost in costs.values() if cost["search_seconds"]["mean"] == 0]
    if others:
        found.append(
            f"Search and retraining together take {(search + training) / fmean(others):.1f} times as long as training "
            "a published model once (mean of them)"
        )
    return found


def _tables(found: Result) -> list[Table]:
    return [cost_table(found)]


TABLE4 = Reproduction(
    "TABLE4", "Table 4: cost of search and training",
    "the search takes 0.8 GPU hours on UserBehavior-2017 (retraining 0.09) to 18 on AliExpress-ES (2.2), eight to nine "
    "times as long as retraining.",
    named(*MODELS), _gather, _tables, lambda found: comparison_pictures(found)["cost"],
    "Times are those of one trial in one process; compare them only within this table. Tuning is not counted, since "
    "it is the same for all models.",
)  # fmt: skip
