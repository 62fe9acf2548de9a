"""What the report of a comparison shows: tables and pictures, from the plain values of comparison.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from automtl.report.charts import gains, intervals, scatter
from automtl.report.picture import Picture
from automtl.report.run import architecture_picture, expert_table
from automtl.report.text import Values, chosen_settings, mean_cost, used_metrics
from automtl.report.words import METRIC_NAMES, clean, main_metric, rounded, scaled, slug
from automtl.training.metrics import METRICS

COSTS = ("parameters", "flops_per_row", "search", "training", "peak_memory_bytes")
MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ within noise"}


def comparison_pictures(found: Values) -> dict[str, list[Picture]]:
    """Draw all pictures that the values allow, by section."""
    groups = {"gains": _gains(found), "seeds": _seeds(found), "cost": _costs(found), "architecture": _drawn(found)}
    return {name: list(pictures) for name, pictures in groups.items()}


def mean(model: Values, task: str, metric: str) -> float | None:
    """Over seeds, of test rows; None where it is undefined."""
    value: float | None = model["summary"]["tasks"].get(task, {}).get(metric, {}).get("mean")
    return value


def _gains(found: Values) -> Iterator[Picture]:
    judged = {task: v for task, v in found["significance"].items() if v.get("interval")}
    if judged:
        rows = [
            (f"{t} ({v['metric'].upper()})", v["difference"], *v["interval"], v["conclusion"])
            for t, v in judged.items()
        ]
        words = " ".join(f"{v['sentence']}." for v in judged.values())
        title = f"Gain of {found['reference']} over the best rival of each task"
        note = (
            "With the 95 % interval of the bootstrap over test rows. Triangle up: better, down: worse; diamond: noise."
        )
        yield Picture("gains", title, words, gains(rows, "difference on test rows"), note)


def _seeds(found: Values) -> Iterator[Picture]:
    """Small dots are seeds, models in the order of their means."""
    for index, task in enumerate(found["tasks"]):
        metric = main_metric(task["kind"])
        rows = []
        for name, model in found["models"].items():
            values = [seed["test"]["tasks"][task["name"]].get(metric) for seed in model["seeds"]]
            known = [value for value in values if isinstance(value, float)]
            if known:
                summary = model["summary"]["tasks"][task["name"]][metric]
                rows.append((name, known, summary["mean"], summary["std"] or 0.0))
        if rows:
            rows.sort(key=lambda row: row[2], reverse=METRICS.find(metric).larger_is_better)
            ours = next((place for place, row in enumerate(rows) if row[0] == found["reference"]), None)
            words = ", ".join(f"{name} {value:.4f} ± {spread:.4f}" for name, _, value, spread in rows)
            figure = intervals(rows, f"{METRIC_NAMES[metric]} on test rows", ours)
            yield Picture(f"seeds-{slug(index, task['name'])}", clean(task["name"]), f"Best first: {words}.", figure)


def _costs(found: Values) -> Iterator[Picture]:
    """What a model costs against what it loses."""
    for name, label in (
        ("parameters", "parameters"), ("flops_per_row", "FLOPs per row"), ("seconds", "seconds of search and training"),
    ):  # fmt: skip
        points = [
            (model, cost, loss)
            for model, values in found["models"].items()
            if (cost := _total(values, name)) and (loss := values["summary"]["mtl_loss"]["mean"]) is not None
        ]
        if len(points) > 1:
            words = ", ".join(f"{model} {scaled(x)} and {y:.4f}" for model, x, y in points)
            figure = scatter(points, label, "MTL-Loss on test rows", found["reference"])
            text = f"{label.capitalize()} and MTL-Loss: {words}."
            yield Picture(f"cost-{name.replace('_', '-')}", f"Quality against {label}", text, figure)


def _total(model: Values, name: str) -> float | None:
    """A mean cost; 'seconds' are those of search and training together."""
    if name != "seconds":
        return mean_cost(model, name)
    return sum(mean_cost(model, part) or 0.0 for part in ("search", "training"))


def _searched_seed(found: Values) -> Values | None:
    """The first seed of the model in question, if that has an architecture."""
    model = found["models"].get(found["reference"])
    seeds = model["seeds"] if model else []
    return seeds[0] if seeds and seeds[0]["architecture"] else None


def _drawn(found: Values) -> Iterator[Picture]:
    seed = _searched_seed(found)
    if seed:
        tasks = [task["name"] for task in found["tasks"]]
        yield architecture_picture(seed["architecture"], tasks, found.get("fields", ()), seed.get("gates"))


def comparison_page(found: Values) -> dict[str, Any]:
    """What the template of a comparison shows, pictures and tables."""
    seed, tasks = _searched_seed(found), [task["name"] for task in found["tasks"]]
    return {
        "title": f"automtl: comparison on {found['table']['name']}",
        "found": found,
        "pictures": comparison_pictures(found),
        "results": _results(found),
        "metrics": [(task["name"], _metrics(found, task["name"])) for task in found["tasks"]],
        "findings": found.get("findings"),
        "settings": _settings(found),
        "experts": seed and expert_table(seed["architecture"], tasks, seed.get("gates"), seed.get("ensemble")),
    }


def _results(found: Values) -> list[dict[str, Any]]:
    """A row a model, in the order given: cells of the tasks, MTL-Loss and cost. Failed models have no row."""
    able = {name: model for name, model in found["models"].items() if model["seeds"]}
    best = {task["name"]: _best(able, task) for task in found["tasks"]}
    losses = {n: v for n, m in able.items() if (v := m["summary"]["mtl_loss"]["mean"]) is not None}
    return [
        {
            "name": name, "ours": name == found["reference"],
            "cells": [_cell(found, name, model, task, best[task["name"]]) for task in found["tasks"]],
            "loss": _spread(model["summary"]["mtl_loss"], best=losses.get(name) == min(losses.values(), default=None)),
            "costs": {cost: mean_cost(model, cost) for cost in COSTS},
        }
        for name, model in able.items()
    ]  # fmt: skip


def _best(models: Values, task: Values) -> float | None:
    metric = main_metric(task["kind"])
    values = [value for model in models.values() if (value := mean(model, task["name"], metric)) is not None]
    return (max if METRICS.find(metric).larger_is_better else min)(values, default=None)


def _cell(found: Values, name: str, model: Values, task: Values, best: float | None) -> dict[str, Any]:
    """Mean ± deviation, and in words what the tests say of it."""
    significance = found["significance"].get(task["name"], {})
    mark = ""
    if name == found["reference"]:
        mark = MARKS.get(significance.get("conclusion", ""), "")
    elif name == significance.get("rival"):
        mark = "best rival"
    values = model["summary"]["tasks"].get(task["name"], {}).get(main_metric(task["kind"]), {})
    return _spread(values, best=best is not None and values.get("mean") == best) | {"mark": mark}


def _spread(values: Values, *, best: bool = False) -> dict[str, Any]:
    deviation = values.get("std")
    return {
        "value": rounded(values.get("mean")), "deviation": "" if deviation is None else f"± {deviation:.4f}",
        "best": best, "mark": "",
    }  # fmt: skip


def _metrics(found: Values, task: str) -> dict[str, Any]:
    """All metrics of one task."""
    tables = {name: m["summary"]["tasks"].get(task, {}) for name, m in found["models"].items() if m["seeds"]}
    used = used_metrics(tables.values())
    rows = [(model, [_spread(values.get(name) or {}) for name in used]) for model, values in tables.items()]
    return {"columns": [METRIC_NAMES.get(name, name) for name in used], "rows": rows}


def _settings(found: Values) -> dict[str, Any]:
    """Settings that tuning chose, a column each; and how many were tried."""
    names, rows = chosen_settings(found)
    trials = {name: len(model["tuning"]["trials"] or ()) for name, model in found["models"].items()}
    return {"columns": [*names, "trials"], "rows": [(model, [*cells, trials[model]]) for model, cells in rows]}
