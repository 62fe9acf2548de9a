"""The report of a run or comparison as files: the page, or its pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

from automtl.report.page import render
from automtl.report.picture import Picture
from automtl.report.run import RunValues, run_page, run_pictures
from automtl.report.style import drawing

PAGE = "report.html"


def run_report(run: RunValues) -> str:
    """The page of a run."""
    with drawing():
        return render("run.html", run_page(run))


def attempted_report(run: RunValues) -> dict[str, str]:
    """The page by its file name; nothing, with a warning, where it cannot be made: no report is worth losing a run."""
    try:
        return {PAGE: run_report(run)}
    except Exception as error:
        warnings.warn(
            f"the report could not be made ({error!r}); the model is saved without it, "
            "'automtl report FOLDER' tries again", RuntimeWarning, stacklevel=3,
        )  # fmt: skip
        return {}


def picture_files(pictures: Mapping[str, list[Picture]], *, png: bool) -> Iterator[tuple[str, bytes]]:
    """File name and content of every picture as SVG, and as PNG."""
    for picture in (picture for group in pictures.values() for picture in group):
        yield f"{picture.name}.svg", picture.svg().encode()
        if png:
            yield f"{picture.name}.png", picture.png()


def run_picture_files(run: RunValues, *, png: bool) -> dict[str, bytes]:
    """All pictures of a run."""
    with drawing():
        return dict(picture_files(run_pictures(run), png=png))
