"""The command that compares a table with the rows that a saved model was tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import LogOption, ModelArgument, TableArgument, loading, telling
from automtl.cli.progress import Live
from automtl.cli.show import save, show_table

DRIFTED = 1  # the exit code where something drifted


@app.command("drift", cls=GroupedCommand)
@telling
@loading
def drift_command(
    model: ModelArgument,
    table: TableArgument,
    history: LogOption = None,
    psi: Annotated[float, typer.Option(help="Stability index of a column or of scores.")] = 0.2,
    missing: Annotated[float, typer.Option(help="Rise of the share of missing values.")] = 0.05,
    unknown: Annotated[float, typer.Option(help="Rise of the share of unknown ids.")] = 0.1,
    labels: Annotated[float, typer.Option(help="Relative change of a label's rate.")] = 0.2,
    calibration: Annotated[float, typer.Option(help="Relative change of expected over observed labels.")] = 0.2,
    auc: Annotated[float, typer.Option(help="Fall of AUC.")] = 0.02,
    rmse: Annotated[float, typer.Option(help="Relative rise of RMSE.")] = 0.1,
    significance: Annotated[float, typer.Option(help="Probability that chance alone is taken for drift.")] = 0.001,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="A column or task that is no drift.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write all that was compared here, as JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page about it here.")] = None,
) -> None:
    """Compare a table with the rows that a saved model was tested on: inputs, scores and, if it has them, labels.

    Exit code 0: nothing drifted; 1: something did, by more than the options allow and more than chance; 2: a mistake.
    """
    from automtl.report.drift import drift_lines, drift_page, drift_tables
    from automtl.serving.drift.drift import drift
    from automtl.serving.drift.settings import DriftSettings
    from automtl.system.files import json_bytes
    from automtl.tables.entries import read_entry

    values = {
        "psi": psi, "missing": missing, "unknown": unknown, "labels": labels, "calibration": calibration, "auc": auc,
        "rmse": rmse, "significance": significance,
    }  # fmt: skip
    settings = read_entry(DriftSettings, values, "drift", "docs/drift.md")
    with Live() as live:
        found = drift(model, table, settings=settings, ignored=ignore or (), history=history, callback=live.callback)
    for title, header, rows in drift_tables(found):
        show_table(title, header, rows)
    for line in drift_lines(found):
        typer.echo(line)
    save(json, "json", json_bytes(found).decode())
    save(html, "page", drift_page(found) if html is not None else "")
    if found["drift"]:
        raise typer.Exit(DRIFTED)
