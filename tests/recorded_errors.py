"""The record of errors that tests make, which `tools/errors.py --reached FILE` holds against the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from automtl.errors import AutomtlError

SOURCE = "automtl/"


def record_errors(file: Path) -> None:
    """Write to a file, from now on, the place in the source of each error that is made: `path:line`, once each."""
    known: set[str] = set()

    def noting(self: AutomtlError, *given: Any) -> None:
        place = maker(self)
        if place not in known:
            known.add(place)
            with file.open("a") as lines:
                lines.write(f"{place}\n")
        Exception.__init__(self, *given)

    AutomtlError.__init__ = noting  # type: ignore[method-assign]


def maker(error: AutomtlError) -> str:
    """Return the place, below src/automtl, of the call that makes an error now."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is error and frame.f_back:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rpartition(SOURCE)[2]}:{frame.f_lineno}"
