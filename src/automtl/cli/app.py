"""The app of the command line, and its entry point."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from automtl._version import __version__
from automtl.errors import AutomtlError
from automtl.system.workers import speaks

OUT_OF_MEMORY = "memory does not suffice; set training.batch_size or search.batch_size smaller, or give fewer --jobs"


class GroupedCommand(TyperCommand):
    """A command whose help lists its options by the panels that they name, those without one first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for place in self.get_params(ctx):
            record = place.get_help_record(ctx)
            if record is not None:
                title = "Arguments" if place.param_type_name == "argument" else getattr(place, "rich_help_panel", None)
                found.setdefault(title or "Options", []).append(record)
        for title, records in found.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


app = typer.Typer(
    help="Search, train and test a multi-task recommendation model for a table of logged behaviour.",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def _version(value: bool) -> None:
    if value:
        typer.echo(f"automtl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Search, train and test a multi-task recommendation model for a table of logged behaviour."""


def main() -> None:
    """Run the command line. A user's mistake is one line on standard error and exit code 2; a warning is one line."""
    warnings.formatwarning = lambda message, *rest, **named: f"warning: {message}\n"
    if not speaks():  # the first worker says what all would say; the others only what they did not foresee
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        warnings.simplefilter("ignore")
    try:
        app()
    except AutomtlError as error:
        if speaks():
            typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        from automtl.system.memory import out_of_memory

        if not out_of_memory(error):
            raise
        typer.echo(f"error: {OUT_OF_MEMORY} ({' '.join(str(error).split())[:200]})", err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        said = f"'{error.filename}' cannot be read or written: {error.strerror}; see to it, then try again"
        typer.echo(f"error: {said}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing was written", err=True)
        sys.exit(130)
