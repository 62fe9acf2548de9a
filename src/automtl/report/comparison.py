"""Tables and pictures of a comparison's report, made from the plain values of comparison.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from automtl.report.baselines import GUESS
from automtl.report.charts import gains, intervals, scatter
from automtl.report.picture import Picture
from automtl.report.run import architecture_picture, dotted_settings, expert_table
from automtl.report.text import Values, chosen_settings, made_lines, mean_cost, used_metrics
from automtl.report.words import METRIC_NAMES, clean, main_metric, rounded, scaled, slug
from automtl.training.metrics import METRICS

COSTS = ("parameters", "flops_per_row", "search", "training", "peak_memory_bytes")
MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ within noise"}


def comparison_pictures(found: Values) -> dict[str, list[Picture]]:
    """Draw all pictures that the values allow, by section."""
    groups = {"gains": _gains(found), "seeds": _seeds(found), "cost": _costs(found), "architecture": _drawn(found)}
    return {name: list(pictures) for name, pictures in groups.items()}


def gain_picture(name: str, title: str, tests: Values, x_label: str, note: str) -> Iterator[Picture]:
    """Draw the differences of some tests, by label, if any of them has an interval."""
    judged = {label: one for label, one in tests.items() if one.get("interval")}
    if judged:
        rows = [(label, one["difference"], *one["interval"], one["conclusion"]) for label, one in judged.items()]
        yield Picture(
            name, title, " ".join(f"{one['sentence']}." for one in judged.values()), gains(rows, x_label), note
        )


def _gains(found: Values) -> Iterator[Picture]:
    tests = {f"{task} ({one['metric'].upper()})": one for task, one in found["significance"].items()}
    title = f"Gain of {found['reference']} over the best rival of each task"
    note = "With the 95 % interval of the bootstrap over test rows. Triangle up: better, down: worse; diamond: noise."
    yield from gain_picture("gains", title, tests, "difference on test rows", note)


def _seeds(found: Values) -> Iterator[Picture]:
    """Draw each task's results by model, the best mean first."""
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
    """Draw each kind of cost against the total loss."""
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
    """Return a mean cost; 'seconds' are those of search and training together."""
    if name != "seconds":
        return mean_cost(model, name)
    return sum(mean_cost(model, part) or 0.0 for part in ("search", "training"))


def _searched_seed(found: Values) -> Values | None:
    """Return the first seed of the judged model, if it has an architecture."""
    model = found["models"].get(found["reference"])
    seeds = model["seeds"] if model else []
    return seeds[0] if seeds and seeds[0]["architecture"] else None


def _drawn(found: Values) -> Iterator[Picture]:
    seed = _searched_seed(found)
    if seed:
        tasks = [task["name"] for task in found["tasks"]]
        yield architecture_picture(seed["architecture"], tasks, found.get("fields", ()), seed.get("gates"))


def comparison_page(found: Values) -> dict[str, Any]:
    """Collect the pictures and tables for the template of a comparison."""
    seed, tasks = _searched_seed(found), [task["name"] for task in found["tasks"]]
    return {
        "title": f"automtl: comparison on {found['table']['name']}",
        "found": found,
        "made": made_lines(found["table"], found.get("made") or {}),
        "pictures": comparison_pictures(found),
        "results": _results(found),
        "guess": [GUESS.get(main_metric(task["kind"])) for task in found["tasks"]],
        "metrics": [(task["name"], _metrics(found, task["name"])) for task in found["tasks"]],
        "findings": found.get("findings"),
        "settings": _settings(found),
        "every_setting": dotted_settings(found.get("settings") or {}),
        "experts": seed and expert_table(seed["architecture"], tasks, seed.get("gates"), seed.get("ensemble")),
    }


def _results(found: Values) -> list[dict[str, Any]]:
    """Make a row for each model that did not fail: cells of the tasks, MTL-Loss and cost."""
    able = {name: model for name, model in found["models"].items() if model["seeds"]}
    columns = []
    for task in found["tasks"]:
        name, metric = task["name"], main_metric(task["kind"])
        values = [model["summary"]["tasks"].get(name, {}).get(metric, {}) for model in able.values()]
        cells = _column(values, METRICS.find(metric).larger_is_better)
        columns.append([cell | {"mark": mark_of(found, model, name)} for model, cell in zip(able, cells)])
    losses = _column([model["summary"]["mtl_loss"] for model in able.values()], False)
    return [
        {
            "name": name, "ours": name == found["reference"], "cells": [cells[place] for cells in columns],
            "loss": losses[place], "costs": {cost: mean_cost(model, cost) for cost in COSTS},
        }
        for place, (name, model) in enumerate(able.items())
    ]  # fmt: skip


def _column(summaries: Sequence[Values], larger_is_better: bool) -> list[dict[str, Any]]:
    """Make the cells of a column; those with the best mean are marked."""
    means = [one["mean"] for one in summaries if one.get("mean") is not None]
    best = (max if larger_is_better else min)(means, default=None)
    return [_spread(one, best=best is not None and one.get("mean") == best) for one in summaries]


def mark_of(found: Values, model: str, task: str) -> str:
    """Return what the tests say of the reference on a task, or that the model is its rival there, or nothing."""
    test = found["significance"].get(task, {})
    if model == found["reference"]:
        return MARKS.get(test.get("conclusion", ""), "")
    return "best rival" if model == test.get("rival") else ""


def _spread(values: Values, *, best: bool = False) -> dict[str, Any]:
    deviation = values.get("std")
    return {
        "value": rounded(values.get("mean")), "deviation": "" if deviation is None else f"± {deviation:.4f}",
        "best": best, "mark": "",
    }  # fmt: skip


def _metrics(found: Values, task: str) -> dict[str, Any]:
    """Make a table of all metrics of one task."""
    tables = {name: m["summary"]["tasks"].get(task, {}) for name, m in found["models"].items() if m["seeds"]}
    used = used_metrics(tables.values())
    rows = [(model, [_spread(values.get(name) or {}) for name in used]) for model, values in tables.items()]
    return {"columns": [METRIC_NAMES.get(name, name) for name in used], "rows": rows}


def _settings(found: Values) -> dict[str, Any]:
    """Make a table of the settings that tuning chose, and of how many were tried."""
    names, rows = chosen_settings(found)
    trials = {name: len(model["tuning"]["trials"] or ()) for name, model in found["models"].items()}
    return {"columns": [*names, "trials"], "rows": [(model, [*cells, trials[model]]) for model, cells in rows]}
