"""Render reports as files: a page of a run, comparison or reproduction, and its pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from automtl.report.comparison import comparison_page
from automtl.report.page import render
from automtl.report.picture import Picture
from automtl.report.run import RunValues, run_page
from automtl.report.style import drawing
from automtl.report.text import Table

PAGE = "report.html"


def run_report(run: RunValues) -> str:
    """Render the page of a run."""
    with drawing():
        return render("run.html", run_page(run))


def comparison_report(found: Mapping[str, Any]) -> str:
    """Render the page of a comparison from the values of comparison.json."""
    with drawing():
        return render("comparison.html", comparison_page(found))


def attempted(report: Callable[[], str], kept: str, name: str = PAGE) -> dict[str, str]:
    """Render a page, by its file name, or warn if that fails, since no report is worth losing a run.

    `kept`: what is saved without it, with its verb.
    """
    what = Path(name).stem
    try:
        return {name: report()}
    except Exception as error:
        warnings.warn(
            f"the {what} could not be made ({error!r}); {kept} saved without it, 'automtl {what} FOLDER' tries again",
            RuntimeWarning, stacklevel=3,
        )  # fmt: skip
        return {}


def picture_files(draw: Callable[[], Mapping[str, Sequence[Picture]]], *, png: bool) -> dict[str, bytes]:
    """Draw pictures, given by section, as SVG files and, if wanted, PNG files; return content by file name."""
    with drawing():
        flat = [picture for group in draw().values() for picture in group]
        drawn = {f"{picture.name}.svg": picture.svg().encode() for picture in flat}
        return drawn | ({f"{picture.name}.png": picture.png() for picture in flat} if png else {})


def reproduction_files(
    found: Mapping[str, Any], tables: Sequence[Table], pictures: Sequence[Picture]
) -> dict[str, str]:
    """Render the page and pictures of a reproduction, named after it; return text by file name."""
    name, values = found["reproduction"], {"title": found["title"], "found": found, "tables": tables}
    page = render("reproduction.html", values | {"pictures": pictures})
    return {f"{name}.html": page} | {f"{name}-{picture.name}.svg": picture.svg() for picture in pictures}
