"""Commands that give a saved model another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import app
from automtl.cli.options import ModelArgument, loading


@app.command("card")
@loading
def card_command(
    model: ModelArgument,
    out: Annotated[Path | None, typer.Option(help="A file, .md or .html; else it is printed.")] = None,
) -> None:
    """Write the card of a saved model: data, metrics, limits, architecture, use, in Markdown or HTML."""
    from automtl.experiment.card import model_card

    text = model_card(model, out)
    typer.echo(text if out is None else f"card: {out}")


@app.command("mlflow")
@loading
def mlflow_command(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="The folder, which MLflow reads.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model of MLflow there.")] = False,
) -> None:
    """Write a saved model as a model of MLflow, which `mlflow models serve` and registries take."""
    from automtl.serving.mlflow_flavour import save_mlflow

    save_mlflow(model, out, overwrite=overwrite)
    typer.echo(f"model of MLflow: {out}")
    typer.echo(f"next: mlflow models serve -m {out} --env-manager local")
