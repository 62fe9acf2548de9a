"""A comparison as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automtl.report.text import ordered
from automtl.report.words import scaled, size

Table = tuple[str, list[str], list[list[str]]]  # title, header, rows


def comparison_tables(comparison: Mapping[str, Any]) -> list[Table]:
    """A table for each task, one of the cost, and one of the settings that were chosen."""
    tasks = [_task_table(comparison, task["name"]) for task in comparison["tasks"]]
    return [*tasks, _cost_table(comparison), _tuning_table(comparison)]


def failures(comparison: Mapping[str, Any]) -> list[str]:
    """Why models or trials have no result, a line each."""
    lines = []
    for name, model in comparison["models"].items():
        trials = [trial["failed"] for trial in model["tuning"]["trials"] if "failed" in trial]
        lines += [f"{name} failed: {model['failed']}"] if model["failed"] else []
        lines += [f"{name}: a trial of its tuning failed: {message}" for message in trials]
    return lines


def _task_table(comparison: Mapping[str, Any], task: str) -> Table:
    found = {name: model["summary"]["tasks"].get(task, {}) for name, model in comparison["models"].items()}
    used = [name for name in ordered(found.values()) if any(values.get(name, {}).get("n") for values in found.values())]
    rows = [[name, *(spread_text(values.get(metric)) for metric in used)] for name, values in found.items()]
    count = len(comparison["seeds"])
    return f"{task}: test rows, mean ± standard deviation over {count} seed{'s' * (count > 1)}", ["model", *used], rows


def _cost_table(comparison: Mapping[str, Any]) -> Table:
    header = ["model", "MTL-Loss", "parameters", "FLOPs/row", "search s", "training s", "memory"]
    rows = []
    for name, model in comparison["models"].items():
        loss, seeds = spread_text(model["summary"]["mtl_loss"]), model["seeds"]
        costs = [
            scaled(_mean(seeds, "parameters")),
            scaled(_mean(seeds, "flops_per_row")),
            _whole(_mean([seed["seconds"] for seed in seeds], "search")),
            _whole(_mean([seed["seconds"] for seed in seeds], "training")),
            size(_mean(seeds, "peak_memory_bytes")),
        ]
        rows.append([name, loss, *costs])
    return "cost, mean over seeds", header, rows


def _tuning_table(comparison: Mapping[str, Any]) -> Table:
    chosen = {name: model["tuning"]["chosen"] or {} for name, model in comparison["models"].items()}
    names = list(dict.fromkeys(name for values in chosen.values() for name in values))
    rows = [[model, *(_setting(values.get(name)) for name in names)] for model, values in chosen.items()]
    return "settings chosen on validation rows", ["model", *(name.replace("_", " ") for name in names)], rows


def _setting(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:g}"


def spread_text(values: Mapping[str, Any] | None) -> str:
    """Mean and standard deviation with four decimals, or a dash."""
    if not values or values["mean"] is None:
        return "–"
    mean = f"{values['mean']:.4f}"
    return mean if values["std"] is None else f"{mean} ±{values['std']:.4f}".replace("±0.", "±.")


def duration(seconds: float) -> str:
    """3 h 20 min, 12 min or 40 s."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _mean(seeds: list[Any], name: str) -> float | None:
    known = [seed[name] for seed in seeds if seed[name] is not None]
    return sum(known) / len(known) if known else None
