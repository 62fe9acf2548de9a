"""What the documents say agrees with the code: the drawings, the reference of settings."""

from __future__ import annotations

from pathlib import Path

import settings_reference
from draw import draw_errors
from house import read_house

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def test_the_drawing_shows_the_rooms_and_their_imports() -> None:
    """Line counts alone may be older than the code; `make docs` draws anew."""
    drawn, house = (IMAGES / "architecture.svg").read_text(), read_house()
    shown = {tuple(title.split("</title>")[0].split(" imports ")) for title in drawn.split("<title>")[2:]}
    assert shown == house.stairs(), "run: make docs"
    assert all(f">{room}</text>" in drawn for room in house.lines), "run: make docs"


def test_the_drawing_of_the_errors_is_that_of_the_classes() -> None:
    assert (IMAGES / "errors.svg").read_text() == draw_errors(), "run: make docs"


def test_the_reference_has_every_section_and_default() -> None:
    page = settings_reference.page()
    for line in (
        "## `search`",
        "| `training.learning_rate` | `float, > 0` | `0.001` |",
        "| `model` | `str` | `automtl` |",
    ):
        assert line in page
