"""The report of a run or comparison as files: the page, or its pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from automtl.report.comparison import comparison_page, comparison_pictures
from automtl.report.page import render
from automtl.report.picture import Picture
from automtl.report.run import RunValues, run_page, run_pictures
from automtl.report.style import drawing

PAGE = "report.html"


def run_report(run: RunValues) -> str:
    """Render the page of a run."""
    with drawing():
        return render("run.html", run_page(run))


def comparison_report(found: Mapping[str, Any]) -> str:
    """Render the page of a comparison from the values of comparison.json."""
    with drawing():
        return render("comparison.html", comparison_page(found))


def attempted(report: Callable[[], str], kept: str) -> dict[str, str]:
    """Render a page, by its file name; where that fails there is a warning: no report is worth losing a run.

    `kept`: what is saved without it.
    """
    try:
        return {PAGE: report()}
    except Exception as error:
        warnings.warn(
            f"the report could not be made ({error!r}); {kept} saved without it, 'automtl report FOLDER' tries again",
            RuntimeWarning, stacklevel=3,
        )  # fmt: skip
        return {}


def run_picture_files(run: RunValues, *, png: bool) -> dict[str, bytes]:
    """Draw every picture of a run as an SVG file, and as PNG; content by file name."""
    with drawing():
        return _files(run_pictures(run), png)


def comparison_picture_files(found: Mapping[str, Any], *, png: bool) -> dict[str, bytes]:
    """Draw every picture of a comparison as an SVG file, and as PNG; content by file name."""
    with drawing():
        return _files(comparison_pictures(found), png)


def _files(pictures: Mapping[str, list[Picture]], png: bool) -> dict[str, bytes]:
    flat = [picture for group in pictures.values() for picture in group]
    drawn = {f"{picture.name}.svg": picture.svg().encode() for picture in flat}
    return drawn | ({f"{picture.name}.png": picture.png() for picture in flat} if png else {})
