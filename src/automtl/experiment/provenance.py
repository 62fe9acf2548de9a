"""Provenance: the table, the command, the day and the machine that a result was made of and by."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from automtl._version import __version__
from automtl.experiment.source import FolderSource, Source, TableSource
from automtl.system.address import is_address, place_of, shown


def describe_table(source: Any, rows: Source) -> dict[str, Any]:
    """Return what is recorded of a table: where it is, if it is in files, rows, columns, digest of its content.

    `columns`: their number, with those that are no inputs; `dropped`: those that were given as no inputs. Of a prepared
    table they are those of the files that it was made of, which are named, too.
    """
    path = place_of(source) if isinstance(source, str | Path) else None
    found = {"path": path, "rows": sum(rows.num_rows.values()), "digest": rows.digest}
    if isinstance(rows, TableSource):
        return found | {"columns": rows.split.train.width, "dropped": list(rows.dropped)}
    if isinstance(rows, FolderSource):
        return found | rows.folder.origin.source
    return found


def describe_making() -> dict[str, str | int | None]:
    """Return day, command line (None in a program of your own), versions, machine and threads of this process."""
    own = Path(sys.argv[0]).name in ("automtl", "__main__.py") if sys.argv else False
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["automtl", *map(_without_secrets, sys.argv[1:])]) if own else None,
        "automtl": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
    }


def _without_secrets(argument: str) -> str:
    return shown(argument) if is_address(argument) else argument
