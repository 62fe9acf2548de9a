"""The command that writes a saved model as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from automtl.cli.app import app
from automtl.cli.options import ModelArgument, loading


@app.command("export")
@loading
def export_command(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="A .onnx or .pt2 file.", show_default=False)],
    format: Annotated[
        Literal["onnx", "torch"], typer.Option("--format", help="onnx: raw columns in; torch: encoded inputs in.")
    ] = "onnx",
) -> None:
    """Write a saved model as one file that other programs run, checked against its own scores."""
    if format == "torch":
        from automtl.serving.export.torch_file import export_torch

        agreement = export_torch(model, out)
    else:
        from automtl.serving.export.onnx_file import export_onnx

        written = export_onnx(model, out)
        agreement = written.agreement
        typer.echo(f"inputs: {', '.join(one.name for one in written.inputs)}")
        typer.echo(f"outputs: {', '.join(written.outputs)}")
        for one in written.encoded:
            typer.echo(f"not a raw column: '{one.name}': {one.meaning[:200]}", err=True)
    rows = f"{agreement.rows:,} drawn rows: scores differ from the predictor's by at most {agreement.difference:.1g}"
    typer.echo(f"{rows}\n{out}: {out.stat().st_size:,} bytes")
