"""What a result was made of and by: the table, the command, the day, the machine."""

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
from automtl.experiment.source import Source


def describe_table(source: Any, rows: Source) -> dict[str, str | int | None]:
    """Return what is recorded of a table: where it is, if it is in files, its rows, and the digest of its content."""
    path = str(Path(source).absolute()) if isinstance(source, str | Path) else None
    return {"path": path, "rows": sum(rows.num_rows.values()), "digest": rows.digest}


def describe_making() -> dict[str, str | int | None]:
    """Return day, command line (None in a program of your own), versions, machine and threads of this process."""
    own = Path(sys.argv[0]).name in ("automtl", "__main__.py") if sys.argv else False
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["automtl", *sys.argv[1:]]) if own else None,
        "automtl": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
    }
