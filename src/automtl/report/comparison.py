"""What the report of a comparison shows: tables and pictures, from the plain values of comparison.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from automtl.report.charts import gains, intervals, scatter
from automtl.report.picture import Picture
from automtl.report.run import METRIC_NAMES, architecture_picture, expert_table, slug
from automtl.report.text import COLUMNS
from automtl.report.words import amount, clean, rounded, scaled, seconds, signed, size

Values = Mapping[str, Any]
LARGER_IS_BETTER = ("auc", "gauc", "pr_auc")
COSTS = ("parameters", "FLOPs per row", "search", "training", "peak memory")
MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ within noise"}


def comparison_pictures(found: Values) -> dict[str, list[Picture]]:
    """All pictures that the values allow, by section."""
    groups = {"gains": _gains(found), "seeds": _seeds(found), "cost": _costs(found), "architecture": _drawn(found)}
    return {name: list(pictures) for name, pictures in groups.items()}


def main_metric(task: Values) -> str:
    """The metric by which a task is judged."""
    return "auc" if task["kind"] == "binary" else "rmse"


def mean(model: Values, task: str, metric: str) -> float | None:
    """Over seeds, of test rows; None where it is undefined."""
    value: float | None = model["summary"]["tasks"].get(task, {}).get(metric, {}).get("mean")
    return value


def _gains(found: Values) -> Iterator[Picture]:
    judged = {task: v for task, v in found["verdicts"].items() if v.get("interval")}
    if judged:
        rows = [
            (f"{task} ({v['metric'].upper()})", v["difference"], *v["interval"], v["verdict"])
            for task, v in judged.items()
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
        metric = main_metric(task)
        rows = []
        for name, model in found["models"].items():
            values = [seed["test"]["tasks"][task["name"]].get(metric) for seed in model["seeds"]]
            known = [value for value in values if isinstance(value, float)]
            if known:
                summary = model["summary"]["tasks"][task["name"]][metric]
                rows.append((name, known, summary["mean"], summary["std"] or 0.0))
        if rows:
            rows.sort(key=lambda row: row[2], reverse=metric in LARGER_IS_BETTER)
            ours = next((place for place, row in enumerate(rows) if row[0] == found["reference"]), None)
            words = ", ".join(f"{name} {value:.4f} ± {spread:.4f}" for name, _, value, spread in rows)
            figure = intervals(rows, f"{METRIC_NAMES[metric]} on test rows", ours)
            yield Picture(f"seeds-{slug(index, task['name'])}", clean(task["name"]), f"Best first: {words}.", figure)


def _costs(found: Values) -> Iterator[Picture]:
    """What a model costs against what it loses."""
    for name, label, form in (
        ("parameters", "parameters", scaled), ("flops_per_row", "FLOPs per row", scaled),
        ("seconds", "seconds of search and training", scaled),
    ):  # fmt: skip
        points = [
            (model, cost, model_values["summary"]["mtl_loss"]["mean"])
            for model, model_values in found["models"].items()
            if (cost := _cost(model_values, name)) and model_values["summary"]["mtl_loss"]["mean"] is not None
        ]
        if len(points) > 1:
            words = ", ".join(f"{model} {form(x)} and {y:.4f}" for model, x, y in points)
            figure = scatter(points, label, "MTL-Loss on test rows", found["reference"])
            title = f"Quality against {label}"
            yield Picture(
                f"cost-{name.replace('_', '-')}", title, f"{label.capitalize()} and MTL-Loss: {words}.", figure
            )


def _cost(model: Values, name: str) -> float | None:
    """Mean over seeds; seconds are those of search and training together."""
    values = [sum(filter(None, s["seconds"].values())) if name == "seconds" else s[name] for s in model["seeds"]]
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


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
        "verdicts": [verdict["sentence"] for verdict in found["verdicts"].values()],
        "judged": [_judged(task, verdict) for task, verdict in found["verdicts"].items()],
        "tasks": [_task(task) for task in found["tasks"]],
        "results": _results(found),
        "costs": COSTS,
        "metrics": [(task["name"], _metrics(found, task["name"])) for task in found["tasks"]],
        "findings": found.get("findings"),
        "settings": _settings(found),
        "failed": [(name, model["failed"]) for name, model in found["models"].items() if model["failed"]],
        "experts": None
        if seed is None
        else expert_table(seed["architecture"], tasks, seed.get("gates"), seed.get("ensemble")),
    }


def _task(task: Values) -> tuple[str, str]:
    rate = task.get("positive_rate")
    shown = "" if rate is None else f", {100 * rate:.3g} % positive"
    return task["name"], f"{METRIC_NAMES[main_metric(task)]}{shown}"


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
            "costs": _cost_cells(model), "seeds": len(model["seeds"]),
        }
        for name, model in able.items()
    ]  # fmt: skip


def _best(models: Values, task: Values) -> float | None:
    metric = main_metric(task)
    values = [value for model in models.values() if (value := mean(model, task["name"], metric)) is not None]
    return (max if metric in LARGER_IS_BETTER else min)(values, default=None)


def _cell(found: Values, name: str, model: Values, task: Values, best: float | None) -> dict[str, Any]:
    """Mean ± deviation, and in words what the tests say of it."""
    verdict = found["verdicts"].get(task["name"], {})
    mark = ""
    if name == found["reference"]:
        mark = MARKS.get(verdict.get("verdict", ""), "")
    elif name == verdict.get("rival"):
        mark = "best rival"
    values = model["summary"]["tasks"].get(task["name"], {}).get(main_metric(task), {})
    return _spread(values, best=best is not None and values.get("mean") == best) | {"mark": mark}


def _spread(values: Values, *, best: bool = False) -> dict[str, Any]:
    deviation = values.get("std")
    return {
        "value": rounded(values.get("mean")), "deviation": "" if deviation is None else f"± {deviation:.4f}",
        "best": best, "mark": "",
    }  # fmt: skip


def _cost_cells(model: Values) -> list[str]:
    spent = [seed["seconds"] for seed in model["seeds"]]
    times = [seconds(fmean(s.get(part) or 0.0 for s in spent) or None) for part in ("search", "training")]
    counts = [amount(_cost(model, name)) for name in ("parameters", "flops_per_row")]
    return [*counts, *times, size(_cost(model, "peak_memory_bytes"))]


def _judged(task: str, verdict: Values) -> tuple[str, list[str]]:
    """A row of the table of tests."""
    interval = verdict.get("interval")
    p_values = [rounded(verdict.get(name)) for name in ("holm_t_p", "holm_bootstrap_p")]
    shown = "–" if not interval else " to ".join(map(signed, interval))
    return task, [
        METRIC_NAMES[verdict["metric"]], verdict.get("rival") or "–", rounded(verdict.get("ours")),
        rounded(verdict.get("theirs")), signed(verdict.get("difference")), shown, *p_values,
        verdict["verdict"],
    ]  # fmt: skip


def _metrics(found: Values, task: str) -> dict[str, Any]:
    """All metrics of one task."""
    tables = {name: m["summary"]["tasks"].get(task, {}) for name, m in found["models"].items() if m["seeds"]}
    used = [name for name in COLUMNS if any((t.get(name) or {}).get("n") for t in tables.values())]
    rows = [(model, [_spread(values.get(name) or {}) for name in used]) for model, values in tables.items()]
    return {"columns": [METRIC_NAMES[name] for name in used], "rows": rows}


def _settings(found: Values) -> dict[str, Any]:
    """Settings that tuning chose, a column each; and how many were tried."""
    chosen = {name: model["tuning"]["chosen"] or {} for name, model in found["models"].items()}
    names = list(dict.fromkeys(name for values in chosen.values() for name in values))
    rows = [
        (model, [_plain(values.get(name)) for name in names], len(found["models"][model]["tuning"]["trials"] or ()))
        for model, values in chosen.items()
    ]
    return {"columns": [name.replace("_", " ") for name in names], "rows": rows}


def _plain(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)
