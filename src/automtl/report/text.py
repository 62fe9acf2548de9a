"""Metrics as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = ("auc", "gauc", "log_loss", "pr_auc", "calibration_error", "normalized_entropy", "ndcg", "rmse", "mae")


def metric_rows(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and one row a task; a metric that no task has is left out, an undefined one is a dash."""
    tasks = metrics["tasks"]
    used = [name for name in COLUMNS if any(isinstance(values.get(name), float) for values in tasks.values())]
    rows = [[task, *(number(values.get(name)) for name in used)] for task, values in tasks.items()]
    return ["task", *used], rows


def number(value: Any) -> str:
    """Four decimals, or a dash."""
    return f"{value:.4f}" if isinstance(value, float) else "-"


def ensemble_lines(ensemble: Mapping[str, Any]) -> list[str]:
    """Weights of the members in each task's score, a line a task, and what was missing."""
    lines = [
        f"{task}: " + ", ".join(f"{name} {weight:.0%}" for name, weight in members.items() if weight)
        for task, members in ensemble["weights"].items()
    ]
    missing = [f"no boosted trees: {ensemble['missing']}"] if ensemble["missing"] else []
    return (["scores by"] if lines else ["the network alone: no other helps it"]) + lines + missing


def undefined(metrics: Mapping[str, Any]) -> list[str]:
    """Why a main metric of a task is undefined, a line each; a missing group column is no news."""
    return [
        f"{task}: {name} is undefined, {value['undefined']}"
        for task, values in metrics["tasks"].items()
        for name, value in values.items()
        if isinstance(value, Mapping) and name in ("auc", "log_loss", "rmse")
    ]
