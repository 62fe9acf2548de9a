"""Tables of text and a page about what scores rest on, from the plain values of `automtl explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from automtl._version import __version__
from automtl.report.charts import gains
from automtl.report.page import render
from automtl.report.picture import Picture
from automtl.report.style import drawing
from automtl.report.text import Table, Values
from automtl.report.words import clean, rounded, shorten, signed, slug

SHOWN = 12  # columns by name; what the others give is summed
SURE = 2.0  # standard errors from 0 beyond which a direction is told
SCALES = {"logit": "logit of the score", "value": "predicted value"}


def explanation_tables(found: Sequence[Values]) -> list[Table]:
    """Make a table for each row: what each column gives to each task, the columns that give most first."""
    return [_table(row, [one for one in found if one["row"] == row]) for row in dict.fromkeys(o["row"] for o in found)]


def _table(row: int, found: Sequence[Values]) -> Table:
    by_task = [{part["column"]: part for part in one["contributions"]} for one in found]
    order = sorted(by_task[0], key=lambda name: -max(_share(of_task, name) for of_task in by_task))
    shown, others = order[:SHOWN], order[SHOWN:]
    rows = [["mean of other rows", "", *(signed(one["base"]) for one in found)]]
    for name in shown:
        value = shorten(by_task[0][name]["value"] or "", 24)
        cells = (f"{signed(of[name]['contribution'])} ± {of[name]['error']:.4f}" for of in by_task)
        rows.append([clean(name), value, *cells])
    if others:
        sums = (signed(sum(of_task[name]["contribution"] for name in others)) for of_task in by_task)
        rows.append([f"{len(others)} others", "", *sums])
    rows.append(["sum", "", *(signed(one["output"]) for one in found)])
    rows.append(["score", "", *(rounded(one["score"]) for one in found)])
    header = ["column", "value", *(f"{clean(one['task'])}: {SCALES[one['scale']]}" for one in found)]
    return f"row {row}: what each score rests on", header, rows


def _share(parts: Values, name: str) -> float:
    """Return which share of all movement of a task is a column's."""
    total: float = sum(abs(part["contribution"]) for part in parts.values())
    own: float = abs(parts[name]["contribution"])
    return own / (total or 1.0)


def explanation_page(found: Sequence[Values], model: str, table: str) -> str:
    """Render one page that needs no other file."""
    rows = dict.fromkeys(one["row"] for one in found)
    with drawing():
        parts = [
            (
                title,
                header,
                [(line[0], line[1:]) for line in lines],
                list(_pictures([o for o in found if o["row"] == row])),
            )
            for row, (title, header, lines) in zip(rows, explanation_tables(found), strict=True)
        ]
        values = {"title": f"Rows of {clean(table)} explained", "model": model, "parts": parts, "version": __version__}
        return render("explanation.html", values)


def _pictures(found: Sequence[Values]) -> Iterator[Picture]:
    """Draw the contributions of a row to each task."""
    for index, one in enumerate(found):
        shown = one["contributions"][:SHOWN]
        words = ", ".join(f"{clean(part['column'])} {signed(part['contribution'])}" for part in shown)
        figure = gains([_bar(part) for part in shown], f"added to the {SCALES[one['scale']]}")
        ends = f"{SCALES[one['scale']]} {signed(one['output'])}, mean of other rows {signed(one['base'])}"
        note = f"Score {rounded(one['score'])}; {ends}."
        yield Picture(f"row-{one['row']}-{slug(index, one['task'])}", clean(one["task"]), f"{words}.", figure, note)


def _bar(part: Values) -> tuple[str, float, float, float, str]:
    """Make a row of the drawing: the contribution, two standard errors each way, and its direction, if it is sure."""
    middle, room = part["contribution"], SURE * part["error"]
    told = "better" if middle > room else "worse" if middle < -room else "noise"
    named = part["column"] if part["value"] is None else f"{part['column']} = {part['value']}"
    return named, middle, middle - room, middle + room, told
