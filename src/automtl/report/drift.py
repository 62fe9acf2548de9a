"""Drift as tables of text and as a page, from the plain values of `automtl drift`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from automtl.report.charts import Line, lines
from automtl.report.page import render
from automtl.report.picture import Picture
from automtl.report.style import drawing
from automtl.report.text import Table, Values
from automtl.report.words import amount, clean, percent, rounded, slug

DRAWN = 6  # the columns that moved most, which are drawn
MEASURES = {"mean_score": "mean score", "ratio": "expected / observed", "calibration_error": "calibration error",
            "auc": "AUC", "log_loss": "log loss", "rmse": "RMSE"}  # fmt: skip


def drift_tables(found: Values) -> list[Table]:
    """Make a table of columns, the one that moved most first, one of missing and unknown values, and one of tasks."""
    return [("columns", *column_rows(found)), ("values", *field_rows(found)), ("tasks", *task_rows(found))]


def column_rows(found: Values) -> tuple[list[str], list[list[str]]]:
    """Return header and a row for each column: the distances of its distributions."""
    rows = [
        [clean(one["name"]), rounded(one["psi"]), rounded(one["chance"]), rounded(one["js"]), _verdict(one)]
        for one in _by_distance(found)
    ]
    return ["column", "stability index", "by chance", "Jensen-Shannon", "drift"], rows


def field_rows(found: Values) -> tuple[list[str], list[list[str]]]:
    """Return header and a row for each field that has, or had, missing or unknown values."""
    kinds = ("missing", "unknown")
    rows = [
        [clean(one["name"]), *(percent(one[kind][when]) for kind in kinds for when in ("now", "at_fit")), _verdict(one)]
        for one in found["fields"]
        if any(one[kind][when] for kind in kinds for when in ("now", "at_fit"))
    ]
    header = ["column", *(f"{kind} {when}" for kind in kinds for when in ("now", "at fit")), "drift"]
    return header, rows


def task_rows(found: Values) -> tuple[list[str], list[list[str]]]:
    """Return header and rows for each task: of its scores and, where there are labels, of what they are worth."""
    rows = []
    for one in found["tasks"]:
        scores, verdict = one["scores"], _verdict(one)
        rows.append([clean(one["name"]), "stability index of scores", rounded(scores["psi"]), "", verdict])
        for name, value in (one["labels"] or {}).items():
            rows.append([clean(one["name"]), _measure(name), *(_cell(name, value[when]) for when in ("now", "at_fit"))])
            rows[-1].append("")
    return ["task", "measure", "now", "at fit", "drift"], rows


def _measure(name: str) -> str:
    return {"rows": "rows with a label", "rate": "label rate"}.get(name, MEASURES.get(name, name))


def _cell(name: str, value: Any) -> str:
    return amount(value) if name == "rows" else rounded(value)


def _verdict(one: Values) -> str:
    return "drift" if one["drift"] else ""


def _by_distance(found: Values) -> list[Values]:
    return sorted(found["columns"], key=lambda one: (not one["drift"], -float(one["psi"])))


def drift_lines(found: Values) -> list[str]:
    """Say in lines what drifted, or that nothing did."""
    rows = f"{found['rows']['now']:,} rows, compared with {found['rows']['at_fit']:,} held out at fit"
    if not found["drift"]:
        return [f"no drift: {rows}"]
    return [f"drift: {rows}", *(f"  {clean(reason)}" for reason in found["drift"])]


def drift_page(found: Values) -> str:
    """Render one page that needs no other file."""
    tables = [(title, header, [(row[0], row[1:]) for row in rows]) for title, header, rows in drift_tables(found)]
    with drawing():
        values = {
            "title": f"Drift of {clean(found['table'])}", "found": found, "lines": drift_lines(found), "tables": tables,
            "pictures": [*_columns(found), *_scores(found)],
        }  # fmt: skip
        return render("drift.html", values)


def _columns(found: Values) -> list[Picture]:
    """Draw the distributions of the columns that moved most."""
    return [
        _picture(f"column-{slug(index, one['name'])}", one["name"], one, _axis(one))
        for index, one in enumerate(_by_distance(found)[:DRAWN])
    ]


def _scores(found: Values) -> list[Picture]:
    return [
        _picture(
            f"task-{slug(index, one['name'])}", f"scores of {one['name']}", one["scores"], "tenths of the scores at fit"
        )
        for index, one in enumerate(found["tasks"])
    ]


def _axis(one: Values) -> str:
    words = {"ids": "ids, unknown ones first, then by frequency", "lengths": "length of the list, in steps"}
    return words.get(str(one["kind"]), "tenths of the values at fit")


def _picture(name: str, title: str, one: Values, x_label: str) -> Picture:
    now, at_fit = _shares(one["now"]), _shares(one["at_fit"])
    kept = [place for place, pair in enumerate(zip(now, at_fit, strict=True)) if place or any(pair)]
    places = list(range(len(kept)))
    series = [
        Line("at fit", places, [100 * at_fit[place] for place in kept], 0),
        Line("now", places, [100 * now[place] for place in kept], 1),
    ]
    told = ", ".join(f"{percent(at_fit[place])} to {percent(now[place])}" for place in kept)
    figure = lines(series, x_label, "% of the values")
    note = f"Stability index {one['psi']:.3f}, by chance up to {rounded(one['chance'])}."
    return Picture(name, clean(title), f"Shares by bucket, at fit and now: {told}.", figure, note)


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(sum(counts), 1)
    return [count / total for count in counts]
