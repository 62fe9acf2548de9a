"""Commands that compare models and reproduce the paper's tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import ComparisonOptions, TableArgument, allowing_code, sharing, telling
from automtl.cli.progress import comparison_progress
from automtl.cli.show import show_comparison, show_table

COMPARED = "strong"


@app.command("compare", cls=GroupedCommand)
@telling
@allowing_code
@sharing
def compare_command(
    table: TableArgument,
    options: ComparisonOptions,
    models: Annotated[str, typer.Option(help="Names, separated by commas; or strong, paper or all.")] = COMPARED,
    reference_model: Annotated[str | None, typer.Option(help="Compared with its rivals; else the searched.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of the comparison.")] = Path("runs/comparison"),
) -> None:
    """Compare models under equal conditions, and say which differences are more than noise.

    An interrupted comparison goes on where it stopped when the command is given again.
    """
    settings, tasks = options.comparison(), options.tasks_of(table)  # settings first: they import no torch
    from automtl.comparison.compare import compare_table

    names = [name.strip() for name in models.split(",")]
    with comparison_progress(out) as line:
        found = compare_table(
            table, tasks, models=names, settings=settings, reference_model=reference_model, out=out,
            callback=line.callback,
        )  # fmt: skip
    failures = show_comparison(found)
    typer.echo(f"files: {out}")
    if failures:
        raise typer.Exit(1)


@app.command("reproduce", cls=GroupedCommand)
@telling
@sharing
def reproduce_command(
    name: Annotated[str, typer.Argument(help="table3, table4, table5, figure3 ... figure6.", show_default=False)],
    table: TableArgument,
    options: ComparisonOptions,
    published_schedule: Annotated[
        bool, typer.Option("--published-schedule", help="Search as the paper does, many times slower.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The folder of reproductions and of what they ran.")] = Path("runs/paper"),
) -> None:
    """Reproduce a table or figure of the paper on your table: on screen, as JSON, as an HTML page and SVG pictures.

    An interrupted one goes on where it stopped when the command is given again. Those with the same --out share trials.
    """
    settings, tasks = options.comparison(), options.tasks_of(table)
    from automtl.paper import find_reproduction, reproduce

    chosen = find_reproduction(name)
    with comparison_progress(out) as line:
        found = reproduce(
            chosen, table, tasks, settings=settings, published_schedule=published_schedule, out=out,
            callback=line.callback,
        )  # fmt: skip
    for title, header, rows in found.tables:
        show_table(title, header, rows)
    for sentence in found.values["sentences"]:
        typer.echo(sentence)
    typer.echo(f"in the paper: {found.values['paper']}")
    for candidate, message in found.values["failed"].items():
        typer.echo(f"{candidate} failed: {message}", err=True)
    typer.echo(f"files: {', '.join(str(path) for path in found.files[:2])} and {len(found.files) - 2} pictures")
    if found.values["failed"]:
        raise typer.Exit(1)
