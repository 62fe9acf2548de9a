"""The command that serves saved models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from automtl.cli.app import app
from automtl.cli.options import loading
from automtl.errors import SettingsError

TOKEN = "AUTOMTL_TOKEN"


@app.command("serve")
@loading
def serve_command(
    models: Annotated[
        list[str], typer.Argument(help="Run folders written by fit, each maybe as NAME=FOLDER.", show_default=False)
    ],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help=f"A file with the token that clients must give; else ${TOKEN}.")
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Rows scored together, if of several requests.")] = 256,
    max_wait: Annotated[float, typer.Option(min=0, help="Milliseconds that a batch waits in a queue for more.")] = 0.0,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows of one request.")] = 10_000,
    max_body: Annotated[float, typer.Option(min=0.001, help="MB of one request.")] = 16.0,
    max_queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; others get status 503.")] = 1000,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to the answer of a request.")] = 30.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one product; one is best for single rows.")] = 1,
    watch: Annotated[
        float | None,
        typer.Option(min=0.1, help="Look every so many seconds for changed folders; else at SIGHUP alone."),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(help="Take in events: a folder that keeps them, or redis://HOST:PORT/DATABASE/NAME."),
    ] = None,
    label_wait: Annotated[str, typer.Option(help="How long labels are waited for beyond their delay.")] = "1h",
    access_log: Annotated[bool, typer.Option("--access-log", help="Write a line for each request.")] = False,
) -> None:
    """Serve saved models over HTTP: rows as JSON, and the Open Inference Protocol v2."""
    from automtl.serving import require_server
    from automtl.tables.durations import as_seconds

    require_server()
    from torch import set_num_threads

    from automtl.serving.server.models import Models, named_folders
    from automtl.serving.server.run import Listening, serve
    from automtl.serving.server.settings import ServerSettings

    settings = ServerSettings(
        max_batch=max_batch, max_wait_ms=max_wait, max_rows=max_rows, max_body_mb=max_body, max_queue=max_queue,
        timeout_s=timeout, watch_s=watch, events=events, label_wait_s=as_seconds(label_wait),
    )  # fmt: skip
    set_num_threads(threads)
    served = Models(named_folders(models), settings)

    def started(address: str) -> None:
        typer.echo(f"serving {', '.join(served.folders)} at {address}")

    serve(served, _token(token_file), Listening(host, port, access_log), started)


def _token(file: Path | None) -> str | None:
    """Read the token. Raises SettingsError for a file that cannot be read or is empty."""
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--token-file '{file}' cannot be read: {error}") from None
    if not token:
        raise SettingsError(f"--token-file '{file}' is empty; write the token into it")
    return token
