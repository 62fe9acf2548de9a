"""A model card as Markdown and as a page of HTML; all texts are escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from automtl.report.card import Grid, Section, card_sections, card_title
from automtl.report.page import render
from automtl.report.run import RunValues
from automtl.report.words import clean

CARD = "card.md"
SPECIAL = re.compile(r"([\\`*_\[\]<>#+|~&])")  # what Markdown, or HTML in it, reads as more than a letter


def card_html(run: RunValues) -> str:
    """Write the card as a page that needs no other file."""
    return render("card.html", {"title": card_title(run), "sections": card_sections(run), "version": run.version})


def card_markdown(run: RunValues) -> str:
    """Write the card as Markdown."""
    lines = [f"# {escaped(card_title(run))}"]
    for section in card_sections(run):
        lines += ["", f"## {escaped(section.title)}", *_section(section)]
    return "\n".join(lines) + "\n"


def escaped(text: object) -> str:
    """Return text as one line that Markdown shows as it is."""
    return SPECIAL.sub(r"\\\1", clean(text))


def _section(section: Section) -> Iterator[str]:
    for sentence in section.sentences:
        yield from ("", escaped(sentence))
    if section.points:
        yield from ("", *(f"- {escaped(point)}" for point in section.points))
    for grid in section.grids:
        yield from ("", *_grid(grid))
    if section.commands:
        yield from ("", *(f"    {clean(command)}" for command in section.commands))


def _grid(grid: Grid) -> Iterator[str]:
    yield from (f"**{escaped(grid.title)}**", "")
    for row in (grid.header, ("---", *(["---:"] * (len(grid.header) - 1))), *grid.rows):
        yield f"| {' | '.join(cell if cell.startswith('---') else escaped(cell) for cell in row)} |"
