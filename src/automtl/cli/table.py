"""Commands that describe and check a table, or make one to try things on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from automtl.cli.app import GroupedCommand, app
from automtl.cli.options import Columns, JsonFlag, JsonOption, Rows, TableArgument, TableOut, sharing, telling
from automtl.cli.progress import Live
from automtl.cli.show import save, show_json, show_table


@app.command("describe", cls=GroupedCommand)
@sharing
def describe_command(
    table: TableArgument,
    columns: Columns,
    out: Annotated[Path | None, typer.Option(help="Write the schema here, for you to edit.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the lines here, as JSON.")] = None,
) -> None:
    """Show the schema inferred for a table: what each column is read as, an example, and what stood in its way."""
    from automtl.tables.columns import check_columns, resolve_schema
    from automtl.tables.describe import summarize
    from automtl.tables.history_text import history_lines
    from automtl.tables.table import read_table

    tasks, frame = columns.tasks, read_table(table)
    schema = resolve_schema(frame, tasks, columns.roles, None)
    check_columns(frame, schema)
    found = summarize(frame, schema)
    lines = [[s.name, s.type, s.role, s.example, f"{s.distinct:,}", f"{s.missing:,}"] for s in found]
    show_table(f"{frame.height:,} rows", ["column", "type", "read as", "example", "distinct", "missing"], lines)
    for summary in found:
        for note in summary.notes:
            typer.echo(note if note.startswith("column '") else f"column '{summary.name}': {note}")
    for line in history_lines(schema, inferred=columns.time is None):
        typer.echo(line)
    if schema.target_encoding and not schema.history:
        typer.echo(f"target encoding: {', '.join(' + '.join(key) for key in schema.target_encoding)}")
    save(out, "schema", schema.text())
    save(json, "columns", [asdict(summary) for summary in found])


@app.command("check", cls=GroupedCommand)
@sharing
def check_command(
    table: TableArgument,
    rows: Rows,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and the sampled rows.")] = 0,
    out: JsonOption = None,
    json: JsonFlag = False,
) -> None:
    """Look for what spoils a model: inputs that give the answer away, drift, duplicated rows, constant columns."""
    settings, tasks, roles, schema = rows.settings(), rows.tasks_of(table), rows.roles, rows.read_schema()
    from automtl.experiment import check_table

    found = check_table(table, tasks, roles=roles, schema=schema, settings=settings, seed=seed)
    values = [finding.to_dict() for finding in found]
    if json:
        show_json(values)
    elif found:
        lines = [[f.column, f.level, f.check, f.evidence, f.remedy] for f in found]
        show_table(f"{len(found)} findings", ["column", "level", "check", "evidence", "what to do"], lines, "left")
    else:
        typer.echo("nothing found")
    save(out, "findings", values, quiet=json)


@app.command("demo", cls=GroupedCommand)
@telling
def demo_command(
    out: Annotated[Path, typer.Option(help="The run folder; an earlier one is replaced.")] = Path("runs/demo"),
    rows: Annotated[int, typer.Option(min=2_000, help="Rows of the log.")] = 24_000,
    preset: Annotated[Literal["fast", "balanced", "best"], typer.Option(help="How much is trained.")] = "balanced",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the log and of the fit.")] = 0,
) -> None:
    """Fit a simulated log whose truth is known, and compare the model with LightGBM, MMoE and the truth."""
    from automtl.experiment.demo import run_demo

    with Live() as live:
        _, found = run_demo(out, rows=rows, changes={"budget": {"preset": preset}}, seed=seed, callback=live.callback)
    for sentence in found.sentences():
        typer.echo(sentence)
    show_table(*found.table())
    typer.echo(found.costs())
    typer.echo(f"files: {out}, {out}.parquet\nnext: automtl inspect {out}; open {out / 'report.html'}")


@app.command("synthesize")
def synthesize_command(
    out: TableOut,
    rows: Annotated[int, typer.Option(min=100)] = 20_000,
    relatedness: Annotated[float, typer.Option(min=0, max=1)] = 0.2,
    interaction: Annotated[float, typer.Option(min=0, max=1)] = 0.3,
    noise: Annotated[float, typer.Option(min=0)] = 0.5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    feed: Annotated[
        bool, typer.Option("--feed", help="Two weeks of a feed, with times, as the demo has; the three above are idle.")
    ] = False,
) -> None:
    """Write a log with a known answer: tasks click and like share one truth, buy and cart another."""
    from automtl.tables.simulated import simulated_log
    from automtl.tables.synthetic import synthetic_log
    from automtl.tables.table import write_table

    if feed:
        write_table(simulated_log(rows, seed=seed).table, out)
    else:
        write_table(synthetic_log(rows, relatedness=relatedness, interaction=interaction, noise=noise, seed=seed), out)
    typer.echo(f"{rows:,} rows: {out}")
