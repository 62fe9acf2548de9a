"""The command that scores a table of any size."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import (
    LogOption,
    ModelArgument,
    PrecisionOption,
    TableArgument,
    UnknownOption,
    loading,
    telling,
)
from automtl.cli.progress import Live, resumable


@app.command("predict", cls=GroupedCommand)
@telling
@loading
def predict_command(
    model: ModelArgument,
    table: TableArgument,
    out: Annotated[
        str, typer.Option(help="A .parquet, .csv, .tsv, .csv.gz, .arrow or .jsonl file, a folder/, or - for a pipe.")
    ],
    keep: Annotated[list[str] | None, typer.Option("--keep", help="A column of the table to stand first.")] = None,
    prefix: Annotated[str, typer.Option(help="Put this before the names of scores.")] = "",
    history: LogOption = None,
    format: Annotated[
        Literal["csv", "tsv", "jsonl", "parquet", "arrow"] | None,
        typer.Option(help="Else the ending of --out says it."),
    ] = None,
    rows_per_piece: Annotated[int, typer.Option(min=1, help="Rows in memory at a time, about.")] = 1 << 16,
    precision: PrecisionOption = "full",
    allow_unknown: UnknownOption = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Score a table of any size, in bounded memory: one column for each task, in the table's row order.

    A command that was stopped goes on where it stopped when it is given again.
    """
    from automtl.serving.scoring.predict import predict_table

    live = Live()
    with resumable(live.kept if out != "-" else str), live:
        rows = predict_table(
            model, table, out, keep=keep or (), prefix=prefix, history=history, format=format,
            rows_per_piece=rows_per_piece, precision=precision, allow_unknown=allow_unknown, overwrite=overwrite,
            callback=live.callback,
        )  # fmt: skip
    typer.echo(f"{rows} rows scored: {out}", err=out == "-")
