"""The command that searches, trains, tests and saves one model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import AddressOption, Rows, TableArgument, allowing_code, duration_of, given, sharing, telling
from automtl.cli.progress import Live, resumable, stopping
from automtl.cli.show import show_run
from automtl.cli.workers import WorkerCount, run_workers
from automtl.errors import SettingsError
from automtl.models.registry import EVERY_MODEL
from automtl.search import STRATEGIES
from automtl.system.workers import is_worker
from automtl.trackers import TRACKERS

TRAINED, BUDGET, OUTPUT = "What is trained", "Budget", "Output"  # panels of the help


@app.command("fit", cls=GroupedCommand)
@telling
@allowing_code
@sharing
def fit_command(
    table: TableArgument,
    rows: Rows,
    model: Annotated[
        str | None, typer.Option(help=f"{EVERY_MODEL.choices}.", show_default="automtl", rich_help_panel=TRAINED)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help=f"{STRATEGIES.choices}.", show_default="halving", rich_help_panel=TRAINED)
    ] = None,
    schedule: Annotated[
        str, typer.Option(help="bounded, or published: the paper's schedule.", rich_help_panel=TRAINED)
    ] = "bounded",
    preset: Annotated[
        str | None,
        typer.Option(
            help="fast, balanced or best: how much is trained.", show_default="balanced", rich_help_panel=TRAINED
        ),
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Such as 10m: then the model is made of what is trained.", rich_help_panel=BUDGET)
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Such as 1ms: of one row, by all models together.", rich_help_panel=BUDGET)
    ] = None,
    max_parameters: Annotated[
        int | None, typer.Option(min=1, help="Of all models together.", rich_help_panel=BUDGET)
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|LEAST:MOST",
            help="Processes that train together, each with a part of every batch; 2:4: fewer where some are lost.",
            rich_help_panel=BUDGET,
        ),
    ] = None,
    address: AddressOption = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same model; 0, or that of a run's settings.json.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run folder.", rich_help_panel=OUTPUT)] = Path("runs/automtl"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run there.", rich_help_panel=OUTPUT)
    ] = False,
    tracker: Annotated[
        list[str] | None, typer.Option("--tracker", help=f"{TRACKERS.choices}.", rich_help_panel=OUTPUT)
    ] = None,
    tracker_folder: Annotated[
        Path | None, typer.Option(help="Where trackers write.", show_default="runs/tracking", rich_help_panel=OUTPUT)
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow's server; else files in that folder.", rich_help_panel=OUTPUT)
    ] = None,
) -> None:
    """Search an architecture for a table, train it, test it, save it."""
    start = time.monotonic()
    if address is not None and workers is None:
        raise SettingsError(f"--address '{address}' says where workers run; say how many with --workers")
    count = None if workers is None else WorkerCount.read(workers)
    if count is not None and (count.most > 1 or address is not None) and not is_worker():
        raise typer.Exit(run_workers(count, address))
    budget = given(preset=preset, time_limit=duration_of("--time-limit", time_limit))
    selection = given(max_latency=duration_of("--max-latency", max_latency), max_parameters=max_parameters)
    settings = rows.settings(
        budget=budget, selection=selection, model=model, strategy=strategy, trackers=tracker, tracking_uri=tracking_uri,
        tracker_folder=None if tracker_folder is None else str(tracker_folder),
    )  # fmt: skip
    tasks, roles, schema = rows.tasks_of(table), rows.roles, rows.read_schema()
    if schedule not in ("bounded", "published"):
        raise SettingsError(f"--schedule '{schedule}': expected 'bounded' or 'published'")
    if schedule == "published":
        settings = settings.with_published_search()
    from automtl.experiment import fit_table
    from automtl.system.deadline import Deadline

    limit = settings.budget.time_limit
    live = Live(limit)
    with resumable(live.kept), live, stopping(Deadline(limit), live.kept) as deadline:
        deadline.spend(time.monotonic() - start)
        run = fit_table(
            table, tasks, roles=roles, schema=schema, settings=settings, seed=rows.seed(seed),
            out=out, overwrite=overwrite, callback=live.callback, deadline=deadline,
        )  # fmt: skip
    show_run(run.metrics, run.history, run.predictor.spec.architecture, run.predictor.schema.task_names)
    typer.echo(f"files: {out}")
    if settings.trackers:
        typer.echo(f"tracked: {settings.tracking_uri or settings.tracker_folder}")
