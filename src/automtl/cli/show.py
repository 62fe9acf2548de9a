"""Print results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import typer

BORDERS = 3  # of a column of a table: a line and a space on both sides


def show_findings(findings: tuple[Any, ...], shown: int = 5, *, quiet: bool = False) -> None:
    """Print warnings of the data checks on standard error, and, unless `quiet`, how many other findings there are."""
    warnings = [finding for finding in findings if finding.level == "warning"]
    for finding in warnings[:shown]:
        typer.echo(f"warning: '{finding.column}' {finding.evidence}; {finding.remedy}", err=True)
    left = len(findings) - len(warnings[:shown])
    if left and not quiet:
        counted = "1 more finding" if left == 1 else f"{left} more findings"
        typer.echo(f"the data checks have {counted}, 'automtl check' shows them", err=True)


def save(out: Path | None, what: str, content: str | list[dict[str, Any]], *, quiet: bool = False) -> None:
    """Write text, or plain values as JSON, to `out` and print its path unless `quiet`; do nothing without `out`."""
    from automtl.system.files import json_bytes, write_whole

    if out is not None:
        write_whole(out, content if isinstance(content, str) else json_bytes(content))
        if not quiet:
            typer.echo(f"{what}: {out}")


def show_json(values: Any) -> None:
    """Print plain values as JSON, for programs."""
    from automtl.system.files import json_bytes

    typer.echo(json_bytes(values).decode().rstrip("\n"))


def show_comparison(found: dict[str, Any]) -> list[str]:
    """Print the tables of a comparison, and return a line for each failure."""
    from automtl.report.text import comparison_tables, failures

    for title, header, rows in comparison_tables(found):
        show_table(title, header, rows)
    for one in found["significance"].values():
        typer.echo(one["sentence"])
    typer.echo(found["sentence"])
    lines = failures(found)
    for line in lines:
        typer.echo(line, err=True)
    return lines


def show_table(
    title: str, header: list[str], rows: list[list[str]], justify: Literal["left", "right"] = "right"
) -> None:
    """Print a table with its title; `justify`: how all columns but the first are aligned.

    Where it is too wide, its columns stand below one another in parts, each with the first column.
    """
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    for place, columns in enumerate(columns_that_fit(header, rows, console.width)):
        part = [[row[column] for column in columns] for row in rows]
        console.print(text_table("" if place else title, [header[column] for column in columns], part, justify))


def columns_that_fit(header: list[str], rows: list[list[str]], width: int) -> list[list[int]]:
    """Divide the places of columns into parts that are no wider than a terminal; each begins with the first column.

    A first column is taken to be no wider than a third of it, since it can be folded.
    """
    from rich.cells import cell_len

    needs = [BORDERS + max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    first = 1 + min(needs[0], max(width // 3, 0))
    parts, left = [[0]], width - first
    for place, need in enumerate(needs[1:], 1):
        if need > left and len(parts[-1]) > 1:
            parts.append([0])
            left = width - first
        parts[-1].append(place)
        left -= need
    return parts


def text_table(
    title: str, header: list[str], rows: list[list[str]], justify: Literal["left", "right"] = "right"
) -> Any:
    """Make the table of rich that `show_table` prints."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else justify, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # names are shown as they are, not as markup
    return table


def show_metrics(metrics: dict[str, Any], title: str) -> None:
    """Print the metrics of some rows, and why some are undefined."""
    from automtl.report.text import gap_rows, metric_rows, undefined
    from automtl.report.words import rounded

    show_table(f"{title}, MTL-Loss {rounded(metrics['mtl_loss'])}", *metric_rows(metrics))
    if "funnel" in metrics:
        show_table("funnel", *metric_rows({"tasks": metrics["funnel"]}))
    if "gaps" in metrics:
        show_table("columns that were known at fit", *gap_rows(metrics["gaps"]))
    for line in undefined(metrics):
        typer.echo(line)


def show_histories(found: dict[str, Any] | None) -> None:
    """Print which histories pay on validation rows and which were left out, if that was measured."""
    from automtl.report.text import history_rows, sequence_line

    if found is None:
        return
    if found["groups"]:
        show_table("histories: standard errors by which a task's loss rises without them", *history_rows(found))
    if line := sequence_line(found):
        typer.echo(line)


def show_run(metrics: dict[str, Any], history: dict[str, Any], architecture: Any, tasks: tuple[str, ...]) -> None:
    """Print the architecture, histories, metrics and cost of a run. `history`: the content of history.json."""
    from automtl.report.text import all_rows_line, cost_lines, ensemble_lines, freshness_rows

    if architecture is not None:
        typer.echo(architecture.draw(tasks))
    show_histories(history.get("histories"))
    show_metrics(metrics["validation"], "validation rows")
    show_metrics(metrics["test"], "test rows")
    if line := all_rows_line(history.get("all_rows")):
        typer.echo(line)
    if metrics.get("freshness"):
        show_table("test rows by label delay, AUC or RMSE", *freshness_rows(metrics["freshness"]))
    if metrics.get("ensemble"):
        typer.echo("\n  ".join(ensemble_lines(metrics["ensemble"])))
    if history.get("leaderboard"):
        count = sum(row["stage"] not in ("ensemble", "all rows") for row in history["leaderboard"])
        typer.echo(f"{count} models were trained: automtl leaderboard lists them")
    if metrics.get("ended_early"):
        typer.echo(
            "training ended early, at the time limit or when it was stopped: the model is made of what there was"
        )
    for line in cost_lines(metrics):
        typer.echo(line)
