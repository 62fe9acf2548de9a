"""The leaderboard of a fit as tables of text, for the terminal and for pages, and as a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automtl.report.charts import scatter
from automtl.report.picture import Picture
from automtl.report.text import Table
from automtl.report.words import amount, clean, known, milliseconds, percent, plain, rounded, scaled, seconds

Row = Mapping[str, Any]
DRAWN = 10  # the best candidates, which are drawn


def leaderboard_tables(rows: Sequence[Row]) -> list[Table]:
    """Make a table of each candidate's metrics, and one of its cost and its share in the final scores.

    `rows`: the part `leaderboard` of history.json.
    """
    return [quality_table(rows), cost_table(rows)]


def quality_table(rows: Sequence[Row]) -> Table:
    """Make a table of the main metric of each task on validation and test rows, a candidate a row."""
    tasks = task_names(rows)
    tested = any(row.get("test") for row in rows)
    shown = "validation / test rows" if tested else "validation rows"
    cells = [
        [clean(row["name"]), rounded(row["score"]), *(_metrics(row, task, tested) for task in tasks)] for row in rows
    ]
    return f"AUC or RMSE, {shown}", ["candidate", "loss", *map(clean, tasks)], cells


def _metrics(row: Row, task: str, tested: bool) -> str:
    parts = [rounded((row.get(part) or {}).get(task)) for part in ("validation", *(("test",) if tested else ()))]
    return " / ".join(parts)


def cost_table(rows: Sequence[Row]) -> Table:
    """Make a table of stage, training time, latency and size, and of the weight in each task's score."""
    tasks = task_names(rows)
    cells = [
        [
            clean(row["name"]), clean(row.get("stage") or ""), seconds(row.get("seconds")),
            milliseconds(row.get("latency_ms")), scaled(row.get("flops_per_row")), amount(row.get("parameters")),
            *(share_of(row, task) for task in tasks),
        ]
        for row in rows
    ]  # fmt: skip
    costs = ["training", "latency", "FLOPs/row", "parameters"]
    header = ["candidate", "stage", *costs, *(f"share of {clean(task)}" for task in tasks)]
    return "cost, and share in the final scores", header, cells


def share_of(row: Row, task: str) -> str:
    """Write the weight of a candidate in the score of a task, or nothing if it has none."""
    share = (row.get("share") or {}).get(task)
    return percent(share) if share else ""


def settings_of(row: Row) -> str:
    """Write the settings in which a candidate differs from those of the fit."""
    return ", ".join(f"{clean(name)} {clean(plain(value))}" for name, value in (row.get("settings") or {}).items())


def task_names(rows: Sequence[Row]) -> list[str]:
    """Return the names of the tasks, in order."""
    return list(rows[0]["validation"]) if rows else []


def leaderboard_picture(rows: Sequence[Row]) -> list[Picture]:
    """Draw the loss of the best candidates on validation rows over their latency; nothing of fewer than three."""
    points = [
        (clean(row["name"]), float(row["latency_ms"]), float(row["score"]))
        for row in rows[:DRAWN]
        if known(row.get("latency_ms")) and row["latency_ms"] > 0 and known(row["score"])
    ]
    if len(points) < 3:
        return []
    words = ", ".join(f"{name} {rounded(score)} at {milliseconds(latency)}" for name, latency, score in points)
    figure = scatter(points, "milliseconds a row", "loss on validation rows", outlined=points[0][0])
    return [Picture("leaderboard", "Loss and latency of the best candidates", f"{words}.", figure)]
