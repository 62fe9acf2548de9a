"""The command that encodes a table of any size into a prepared folder."""

from __future__ import annotations

from typing import Annotated

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import AddressOption, Rows, TableArgument, sharing, telling
from automtl.cli.progress import Live, resumable
from automtl.cli.show import show_table


@app.command("prepare", cls=GroupedCommand)
@telling
@sharing
def prepare_command(
    table: TableArgument,
    rows: Rows,
    out: Annotated[
        str, typer.Option(help="A folder or address for fit, compare and evaluate to read.", show_default=False)
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split, folds and sampled negatives.")] = 0,
    memory: Annotated[float | None, typer.Option(min=0.1, help="GiB; else a quarter of the machine's.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=100, help="Processes that read the files.", show_default="1")
    ] = None,
    address: AddressOption = None,
    chunk_rows: Annotated[int, typer.Option(min=1, help="Rows read at a time.")] = 1 << 18,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Encode a table of any size, in bounded memory, once for many trainings.

    An interrupted preparation goes on where it stopped when the command is given again.
    """
    settings, tasks, roles, schema = rows.settings(), rows.tasks, rows.roles, rows.read_schema()
    from automtl.experiment.prepare import prepare_table
    from automtl.report.preparation import column_rows, notes, row_line

    with resumable(), Live() as live:
        made = prepare_table(
            table, tasks, out=out, roles=roles, schema=schema, settings=settings,
            seed=seed, overwrite=overwrite, memory_bytes=None if memory is None else int(memory * 2**30),
            chunk_rows=chunk_rows, workers=workers, address=address, callback=live.callback,
        )  # fmt: skip
    show_table(row_line(made.report), *column_rows(made.report))
    for line in notes(made.report):
        typer.echo(line)
    typer.echo(f"files: {out}")
    typer.echo(f"next: automtl fit {out}")
