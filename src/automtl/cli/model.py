"""Commands that use a saved model or comparison."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import (
    JsonFlag,
    JsonOption,
    LogOption,
    ModelArgument,
    PrecisionOption,
    TableArgument,
    UnknownOption,
    loading,
    require_model,
    require_table,
    telling,
)
from automtl.cli.progress import Live
from automtl.cli.show import save, show_json, show_metrics, show_run, show_table
from automtl.errors import SettingsError
from automtl.system.address import name_of


@app.command("evaluate", cls=GroupedCommand)
@telling
@loading
def evaluate_command(
    model: ModelArgument,
    table: TableArgument,
    history: LogOption = None,
    precision: PrecisionOption = "full",
    allow_unknown: UnknownOption = False,
    json: JsonFlag = False,
) -> None:
    """Evaluate a saved model on a labelled table, or on the test rows of a prepared one."""
    from automtl.predictor import Predictor

    predictor = Predictor.load(model, precision)
    with Live() as live:
        found = predictor.evaluate(table, history=history, allow_unknown=allow_unknown, callback=live.callback)
    if json:
        show_json(found)
    else:
        show_metrics(found, "metrics")


@app.command("update")
@loading
def update_command(
    model: ModelArgument,
    log: Annotated[
        str | None,
        typer.Argument(help="Later events with their labels: a table.", show_default=False, callback=require_table),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the changed model here, and leave the other.")] = None,
    events: Annotated[
        str | None, typer.Option(help="In place of a table: where a server keeps the events of this model.")
    ] = None,
) -> None:
    """Let the histories or target encodings of a saved model take in later events; nothing is trained."""
    from automtl.experiment.update import update_model

    if (log is None) == (events is None):
        raise SettingsError("give a table of later events, or --events and where a server keeps them")
    if events is not None:
        _update_from_events(model, events, out)
        return
    taken = update_model(model, log, out=out)
    typer.echo(f"{taken.events:,} events taken in: {model if out is None else out}")
    if taken.keys:
        keys = ", ".join(" × ".join(key) for key in taken.keys)
        typer.echo(
            f"into the target encodings of {keys}, which keep no rows: do not give the same rows again", err=True
        )
    for count, what in (
        (taken.late, "events are older than the newest one known (late); they were left out"),
        (taken.repeated, "events were known already (repeated); they were left out"),
        (taken.dropped, "ids whose last events are the oldest were dropped (history: max_keys)"),
    ):
        if count:
            typer.echo(f"{count:,} {what}", err=True)


def _update_from_events(model: Path, events: str, out: Path | None) -> None:
    from automtl.serving.online.update import update_from_events

    found = update_from_events(model, events, out=out)
    typer.echo(f"the model knows all events until {found.newest}: {model if out is None else out}")
    typer.echo(f"{found.open:,} events may still change, and stay open in {events}", err=True)


@app.command("inspect")
@loading
def inspect_command(model: ModelArgument, json: JsonFlag = False) -> None:
    """Show the architecture, parameters and metrics of a saved model."""
    from automtl.ensemble.saved_model import read_part
    from automtl.experiment.report import showing
    from automtl.models.network import count_parameters
    from automtl.predictor import Predictor

    predictor = Predictor.load(model)
    if json:
        metrics = {"metrics": read_part(model, "metrics")} if (model / "metrics.json").is_file() else {}
        parameters, schema = count_parameters(predictor.network), predictor.schema.to_dict()
        show_json({"model": predictor.spec.to_dict(), "parameters": parameters, "schema": schema} | metrics)
    elif (model / "metrics.json").is_file():
        history = read_part(model, "history") if (model / "history.json").is_file() else {}
        with showing(model):
            names = predictor.schema.task_names
            show_run(read_part(model, "metrics"), history, predictor.spec.architecture, names)
    else:
        typer.echo(f"{predictor.spec.model}, {count_parameters(predictor.network):,} parameters")


@app.command("leaderboard")
@loading
def leaderboard_command(model: ModelArgument, out: JsonOption = None, json: JsonFlag = False) -> None:
    """List every model that a fit trained: its metrics, cost and share in the final scores."""
    from automtl.experiment.leaderboard import read_leaderboard
    from automtl.experiment.report import showing
    from automtl.report.leaderboard import leaderboard_tables

    with showing(model):
        found = read_leaderboard(model)
        if json:
            show_json(found)
        else:
            for title, header, rows in leaderboard_tables(found):
                show_table(title, header, rows)
    save(out, "leaderboard", found, quiet=json)


@app.command("distill", cls=GroupedCommand)
@telling
@loading
def distill_command(
    model: ModelArgument,
    table: Annotated[
        str | None, typer.Argument(help="The table of the fit; else it is where it was.", callback=require_table)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; else the model's, with '-distilled'.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run there.")] = False,
) -> None:
    """Train one network on the scores of a saved ensemble, to serve it at the price of one."""
    from automtl.experiment.distill import distill
    from automtl.report.leaderboard import leaderboard_tables
    from automtl.report.text import kept_lines

    out = model.with_name(f"{model.resolve().name}-distilled") if out is None else out
    with Live() as live:
        run = distill(model, table, out=out, overwrite=overwrite, callback=live.callback)
    for title, header, rows in leaderboard_tables(run.history["leaderboard"]):
        show_table(title, header, rows)
    for line in kept_lines(run.history["distillation"]):
        typer.echo(line)
    typer.echo(f"files: {out}")


@app.command("report")
@loading
def report_command(
    folder: Annotated[
        Path, typer.Argument(help="A folder written by fit or compare.", show_default=False, callback=require_model)
    ],
    out: Annotated[Path | None, typer.Option(help="The page; report.html unless --pictures is given.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="A folder for the pictures as SVG files.")] = None,
    png: Annotated[bool, typer.Option("--png", help="Write PNG files, too.")] = False,
    importance: Annotated[
        Path | None, typer.Option(help="Show this, too: what 'automtl importance --out FILE' wrote.")
    ] = None,
) -> None:
    """Write one HTML page about a run or comparison, or its pictures as files."""
    from automtl.experiment.report import report_folder

    written = report_folder(folder, out, pictures, png=png, importance=importance)
    typer.echo(f"report: {written[-1]}" if pictures is None else f"{len(written)} files: {pictures}")


@app.command("importance", cls=GroupedCommand)
@telling
@loading
def importance_command(
    model: ModelArgument,
    table: TableArgument,
    history: LogOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="Shuffles of each column.")] = 3,
    rows: Annotated[int, typer.Option(min=2, help="Rows drawn from the table, at most.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn rows and the shuffles.")] = 0,
    out: JsonOption = None,
    json: JsonFlag = False,
) -> None:
    """Show how much worse a model is for each task when one column is shuffled, on labelled rows."""
    from automtl.experiment.permutation_importance import column_importance
    from automtl.report.importance import importance_rows

    with Live() as live:
        found = column_importance(
            model, table, history=history, repeats=repeats, rows=rows, seed=seed, callback=live.callback
        )
    values = [asdict(one) for one in found]
    if json:
        show_json(values)
    else:
        show_table("drop of AUC, or rise of RMSE, when a column is shuffled", *importance_rows(values))
    save(out, "importance", values, quiet=json)


@app.command("explain")
@loading
def explain_command(
    model: ModelArgument,
    table: TableArgument,
    row: Annotated[list[int] | None, typer.Option("--row", help="A row, counted from 1; give some.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Without --row: so many rows, the first ones.")] = 1,
    background: Annotated[
        str | None, typer.Option(help="A table of other rows to compare with; else the table itself.")
    ] = None,
    history: LogOption = None,
    samples: Annotated[int, typer.Option(min=2, help="Other rows that each row is compared with.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the other rows and of the orders.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write a page (.html) or the results as JSON here.")] = None,
    json: JsonFlag = False,
) -> None:
    """Show for one row, or some, what each score rests on: how much every column adds to it."""
    from automtl.experiment.explanation import explain
    from automtl.report.explanation import explanation_page, explanation_tables

    wanted = row or range(1, rows + 1)
    found = explain(model, table, rows=wanted, background=background, history=history, samples=samples, seed=seed)
    values = [one.to_dict() for one in found]
    if json:
        show_json(values)
    else:
        for told in explanation_tables(values):
            show_table(*told)
    if out is not None and out.suffix == ".html":
        save(out, "page", explanation_page(values, model.name, name_of(table)), quiet=json)
    else:
        save(out, "explanation", values, quiet=json)


@app.command("freshness")
@loading
def freshness_command(
    model: ModelArgument,
    table: TableArgument,
    delay: Annotated[list[str] | None, typer.Option("--delay", help="A label delay, such as 1h; give some.")] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit a model for each delay; else the model stays as it is.")
    ] = False,
    out: JsonOption = None,
) -> None:
    """Show what faster data would be worth: a model's metrics on test rows where labels arrive sooner or later."""
    from automtl.experiment.freshness import freshness
    from automtl.experiment.label_delays import DELAYS
    from automtl.report.text import freshness_rows

    curve = freshness(model, table, delays=delay or DELAYS, fitted=fit)
    show_table("test rows, AUC or RMSE" + (", a model fitted for each delay" if fit else ""), *freshness_rows(curve))
    save(out, "freshness", curve)
