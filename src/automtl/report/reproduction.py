"""The page of a reproduced table or figure of the paper, and its pictures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automtl.report.page import render
from automtl.report.picture import Picture
from automtl.report.text import Table


def reproduction_files(
    found: Mapping[str, Any], tables: Sequence[Table], pictures: Sequence[Picture]
) -> dict[str, str]:
    """Name and text of files: the page and every picture, named after the reproduction."""
    name = found["reproduction"]
    page = render("reproduction.html", {"title": found["title"], "found": found, "tables": tables,
                                        "pictures": pictures})  # fmt: skip
    return {f"{name}.html": page} | {f"{name}-{picture.name}.svg": picture.svg() for picture in pictures}
