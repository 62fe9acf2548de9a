"""Search, train, test and save one model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from automtl.cli.app import app
from automtl.cli.options import Rows, TableArgument, sharing
from automtl.cli.progress import Live
from automtl.cli.show import show_run
from automtl.errors import SettingsError
from automtl.models.registry import EVERY_MODEL
from automtl.trackers import TRACKERS


@app.command("fit")
@sharing
def fit_command(
    table: TableArgument,
    rows: Rows,
    model: Annotated[str | None, typer.Option(help=f"{EVERY_MODEL.choices}.")] = None,
    strategy: Annotated[str | None, typer.Option(help="progressive, automtl, darts, darts-minus or random.")] = None,
    schedule: Annotated[str, typer.Option(help="bounded, or published: the paper's schedule.")] = "bounded",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/automtl"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run there.")] = False,
    tracker: Annotated[list[str] | None, typer.Option("--tracker", help=f"{TRACKERS.choices}.")] = None,
    tracker_folder: Annotated[Path | None, typer.Option(help="Where trackers write; runs/tracking.")] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow's server; files in that folder without it.")] = None,
) -> None:
    """Search an architecture for a table, train it, test it, save it."""
    from automtl.experiment import fit_table
    from automtl.search.settings import published

    settings = rows.settings()
    if schedule not in ("bounded", "published"):
        raise SettingsError(f"--schedule '{schedule}': expected 'bounded' or 'published'")
    if schedule == "published":
        settings = replace(settings, search=published())
    given: dict[str, Any] = {
        "model": model, "strategy": strategy, "trackers": tracker and tuple(tracker),
        "tracker_folder": tracker_folder and str(tracker_folder), "tracking_uri": tracking_uri,
    }  # fmt: skip
    settings = replace(settings, **{name: value for name, value in given.items() if value})
    with Live() as live:
        run = fit_table(
            table, rows.tasks_of(table), roles=rows.roles, schema=rows.read_schema(), settings=settings, seed=seed,
            out=out, overwrite=overwrite, callback=live.callback,
        )  # fmt: skip
    show_run(run.metrics, run.predictor.spec.architecture, run.predictor.schema.task_names)
    typer.echo(f"files: {out}")
    if settings.trackers:
        typer.echo(f"tracked: {settings.tracking_uri or settings.tracker_folder}")
