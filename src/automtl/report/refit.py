"""The comparison of a refitted model with the present one, as a table of text and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automtl.report.text import Table
from automtl.report.words import METRIC_NAMES, clean, rounded, signed

HEADER = ["on the newest rows", "present model", "refitted model", "gain", "95 % interval"]


def refit_table(found: Mapping[str, Any]) -> Table:
    """Make a table of losses and main metrics of both models. `found`: the part `refit` of metrics.json."""
    rows = [_row("MTL-Loss", found["mtl_loss"])]
    for task, values in found["tasks"].items():
        metric = values["metric"]
        rows += [_row(f"{clean(task)}: loss", values["loss"])]
        rows += [_row(f"{clean(task)}: {METRIC_NAMES.get(metric['name'], metric['name'])}", metric)]
    counted = f"{found['rows']:,} test rows" + (
        "" if found["units"] == found["rows"] else f" of {found['units']:,} groups"
    )
    return f"present and refitted model, {counted}; a gain above 0: refitted is better", HEADER, rows


def _row(name: str, values: Mapping[str, Any]) -> list[str]:
    gain = values.get("gain") or {}
    interval = f"{signed(gain.get('low'))} to {signed(gain.get('high'))}" if "low" in gain else "–"
    return [name, rounded(values["present"]), rounded(values["refit"]), signed(gain.get("mean")), interval]


def refit_reasons(found: Mapping[str, Any]) -> list[str]:
    """Write a line for each reason against the refitted model."""
    return [f"the refitted model: {clean(reason)}" for reason in found["reasons"]]
