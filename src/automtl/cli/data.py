"""Commands for public datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import app
from automtl.cli.show import show_table
from automtl.tables.catalog import DATASETS

data_app = typer.Typer(help="Public datasets: list them, and make tables of their raw files.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("list")
def data_list_command(
    name: Annotated[str | None, typer.Argument(help="A dataset to describe in full.")] = None,
) -> None:
    """List the public datasets that `data prepare` knows; with a NAME, show its source, files, recipe and licence."""
    if name is None:
        rows = [[short, one.title, f"{one.rows:,}", one.licence] for short, one in DATASETS.members().items()]
        show_table("public datasets", ["name", "title", "rows", "licence"], rows, "left")
    else:
        typer.echo("\n".join(DATASETS.find(name).describe()))


@data_app.command("prepare")
def data_prepare_command(
    name: Annotated[str, typer.Argument(help=f"{DATASETS.choices}.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where the publisher's files are, unpacked.", show_default=False)],
    out: Annotated[Path, typer.Option(help="A .parquet file; its schema is written beside it.", show_default=False)],
    variant: Annotated[str | None, typer.Option(help="One of those that `data list NAME` shows.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A count that differs from the published one is an error.")
    ] = False,
) -> None:
    """Make a table and its schema of a publisher's raw files."""
    from automtl.tables.catalog.prepare import prepare

    found = prepare(DATASETS.find(name), folder, out, variant, strict=strict)
    for difference in found.differences:
        typer.echo(f"warning: {difference}; are the files complete, and of this release?", err=True)
    rates = ", ".join(f"{task} {rate:.4g}" for task, rate in found.rates.items())
    typer.echo(f"{found.rows:,} rows ({rates}): {found.table}")
    typer.echo(f"next: automtl fit {found.table} --schema {found.schema}")
