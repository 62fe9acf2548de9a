"""The command that signs a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import app
from automtl.errors import SettingsError


@app.command("sign")
def sign_command(
    model: Annotated[Path | None, typer.Argument(help="A run folder written by fit.", show_default=False)] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The file of the key.")] = None,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", metavar="FILE", help="Make a key first, in a file that you alone can read."),
    ] = None,
) -> None:
    """Sign a saved model, or make a key, so that `--key FILE` of other commands refuses what you have not signed."""
    from automtl.system.manifest import MODEL
    from automtl.system.signature import SIGNATURE, read_key, write_new_key

    if model is None and new_key is None:
        raise SettingsError("no model is given; name the folder to sign, or make a key alone with --new-key FILE")
    if new_key is not None and key is None:
        write_new_key(new_key)
        typer.echo(f"key: {new_key}")
        key = new_key
    elif key is None or new_key is not None:
        raise SettingsError("give either --key and the file of a key, or --new-key and where a new one is written")
    if model is not None:
        MODEL.sign(model, read_key(key))
        typer.echo(f"signed: {model / SIGNATURE}")
