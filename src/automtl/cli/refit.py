"""The command that trains a saved model again on new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import ModelArgument, loading, require_table, telling
from automtl.cli.progress import Live
from automtl.cli.show import show_table

KEPT = 3  # the exit code where the present model stays


@app.command("refit", cls=GroupedCommand)
@telling
@loading
def refit_command(
    model: ModelArgument,
    table: Annotated[
        str,
        typer.Argument(help="The new rows, with labels: a table.", show_default=False, callback=require_table),
    ],
    warm: Annotated[bool, typer.Option("--warm", help="Start from the present weights and keep known ids.")] = False,
    if_better: Annotated[
        bool, typer.Option("--if-better", help=f"Keep the present model where the new one is worse; exit code {KEPT}.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the new model here, and leave the other.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run at --out.")] = False,
) -> None:
    """Train a saved model again on new rows, and compare it with the present one on the newest of them."""
    from automtl.experiment.refit import refit_model
    from automtl.report.refit import refit_reasons, refit_table

    with Live() as live:
        found = refit_model(
            model, table, warm=warm, if_better=if_better, out=out, overwrite=overwrite, callback=live.callback
        )
    values = found.acceptance.to_dict()
    show_table(*refit_table(values))
    for line in refit_reasons(values):
        typer.echo(line, err=True)
    if not found.taken:
        typer.echo(f"the present model stays: {model}")
        raise typer.Exit(KEPT)
    typer.echo(f"files: {found.folder}")
