"""Figure 6: drawings of the architectures that were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from automtl.comparison.result_store import Result
from automtl.comparison.summary import Comparison
from automtl.paper.base import SEARCHED, Reproduction, named
from automtl.report.architecture import choice_title, num_experts, shared_interaction, skips
from automtl.report.picture import Picture
from automtl.report.run import architecture_picture
from automtl.report.text import Table
from automtl.report.words import METRIC_NAMES, main_metric, percent, rounded, scaled


def _gather(comparison: Comparison) -> Result:
    found = comparison.summary(SEARCHED)
    seeds = sorted(found["models"][SEARCHED]["seeds"], key=lambda seed: _loss(seed, "validation"))
    operations = {kind: dict(Counter(used).most_common()) for kind, used in _operations(seeds).items()}
    return {
        "tasks": found["tasks"], "architectures": seeds,
        "operations": operations, "sentences": _sentences(operations) if seeds else [],
    }  # fmt: skip


def _loss(seed: Result, part: str) -> float:
    """Return the MTL-Loss; infinity if it is undefined."""
    found = seed[part]["mtl_loss"]
    return found if isinstance(found, float) else float("inf")


def _operations(seeds: list[Result]) -> dict[str, list[str]]:
    """Collect the operations of each kind of block over seeds and experts."""
    found: dict[str, list[str]] = {}
    for seed in seeds:
        for name, made in seed["architecture"]["choices"].items():
            kind = "layer" if name.startswith("layer_") else choice_title(name)
            found.setdefault(kind, []).extend(made)
    return found


def _sentences(operations: Result) -> list[str]:
    parts = []
    for kind, counts in operations.items():
        name, most = next(iter(counts.items()))
        parts.append(f"{kind} {name} ({percent(most / sum(counts.values()))})")
    return [f"The most common operations: {', '.join(parts)}"]


def _tables(found: Result) -> list[Table]:
    tasks = {task["name"]: main_metric(task["kind"]) for task in found["tasks"]}
    quality = [f"{task} {METRIC_NAMES[metric]}" for task, metric in tasks.items()]
    header = ["seed", "interaction", "experts", "skips", "parameters", *quality]
    rows = []
    for seed in found["architectures"]:
        made = seed["architecture"]
        values = [rounded(seed["test"]["tasks"][task].get(metric)) for task, metric in tasks.items()]
        shape = [shared_interaction(made), str(num_experts(made)), str(skips(made))]
        rows.append([str(seed["seed"]), *shape, scaled(seed["parameters"]), *values])
    counts = [
        [kind, name, str(times), percent(times / sum(used.values()))]
        for kind, used in found["operations"].items()
        for name, times in used.items()
    ]
    return [
        ("architectures, the best on validation rows first", header, rows),
        ("operations over all seeds", ["block", "operation", "times", "share"], counts),
    ]


def _pictures(found: Result) -> Iterator[Picture]:
    tasks = [task["name"] for task in found["tasks"]]
    for place, seed in enumerate(found["architectures"]):
        picture = architecture_picture(seed["architecture"], tasks, found["fields"], seed.get("gates"))
        title = f"Seed {seed['seed']}{', the best on validation rows' if place == 0 else ''}"
        yield replace(picture, name=f"architecture-{seed['seed']}", title=title)


FIGURE6 = Reproduction(
    "FIGURE6", "Figure 6: architectures found",
    "experts differ in operations and depth, tasks share some and keep others to themselves, one-dimensional "
    "convolutions and gating layers are common, and the smaller dataset gets the simpler architecture.",
    named(SEARCHED), _gather, _tables, _pictures,
)  # fmt: skip
