"""Permutation importance as a table and as drawings, from the plain values of `automtl importance`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from automtl.report.charts import gains
from automtl.report.picture import Picture
from automtl.report.words import METRIC_NAMES, clean, rounded, signed, slug

SHOWN = 12  # columns that are drawn, the most important ones
Measured = Mapping[str, Any]  # of one column and task


def importance_rows(found: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table: for each column and task the drop and its deviation."""
    tasks = sorted({one["task"] for one in found}, key=[one["task"] for one in found].index)
    cells = {
        (one["column"], one["task"]): "-"
        if one["drop"] is None
        else f"{rounded(one['drop'])} ± {rounded(one['spread'])}"
        for one in found
    }
    columns = dict.fromkeys(one["column"] for one in found)
    return ["column", *tasks], [[column, *(cells[column, task] for task in tasks)] for column in columns]


def importance_pictures(found: Sequence[Measured]) -> Iterator[Picture]:
    """Draw for each task the columns that it misses most."""
    for index, task in enumerate(dict.fromkeys(one["task"] for one in found)):
        known = [one for one in found if one["task"] == task and one["drop"] is not None]
        shown = sorted(known, key=lambda one: -one["drop"])[:SHOWN]
        if shown:
            words = ", ".join(f"{clean(one['column'])} {signed(one['drop'])}" for one in shown)
            metric = METRIC_NAMES.get(shown[0]["metric"], shown[0]["metric"])
            figure = gains([_bar(one) for one in shown], f"loss of {metric} without it")
            yield Picture(f"importance-{slug(index, task)}", clean(task), f"{words}.", figure)


def _bar(one: Measured) -> tuple[str, float, float, float, str]:
    """Make a row of the drawing: the drop, its deviation each way; a triangle where it is above two deviations."""
    drop, spread = one["drop"], one["spread"]
    return one["column"], drop, drop - spread, drop + spread, "better" if drop > 2 * spread else "noise"
