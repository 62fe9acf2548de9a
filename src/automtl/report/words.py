"""Names and numbers as they are shown. Names come from users' tables: anything may stand in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from automtl.tables.schema import TaskKind
from automtl.training.metrics import KIND_METRICS

METRIC_NAMES = {  # in the order in which they are shown
    "auc": "AUC", "gauc": "GAUC", "log_loss": "log loss", "pr_auc": "PR-AUC", "calibration_error": "calibration error",
    "normalized_entropy": "normalized entropy", "ndcg": "NDCG", "rmse": "RMSE", "mae": "MAE", "mtl_loss": "MTL-Loss",
}  # fmt: skip
HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\ufffe\uffff]")  # change the direction of what follows; no characters


def clean(text: object) -> str:
    """Give one line without control characters, which XML cannot hold."""
    spaced = " ".join(HIDDEN.sub("\ufffd", str(text)).split())
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in spaced)


def width(text: str) -> int:
    """The number of narrow characters that fill as much of a line."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def shorten(text: object, room: int) -> str:
    """Shorten to `room` narrow characters; the middle is left out, since names that are alike differ at their ends."""
    start = end = line = clean(text)
    if width(line) <= room:
        return line
    while width(start) > (room - 1) // 2:
        start = start[:-1]
    while width(end) > room - 1 - width(start):
        end = end[1:]
    return f"{start}…{end}"


def rounded(value: Any, digits: int = 4) -> str:
    """A number with so many decimals, or a dash."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


def signed(value: Any) -> str:
    """A difference with four decimals and its sign, or a dash."""
    return f"{value:+.4f}".replace("-", "−") if isinstance(value, int | float) else "–"


def percent(value: Any) -> str:
    """A share as per cent with three significant digits, or a dash."""
    return f"{100 * value:.3g} %" if isinstance(value, int | float) else "–"


def amount(value: Any) -> str:
    """A count with thousands set apart, or a dash."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def plain(value: Any) -> str:
    """A setting's value, or a dash."""
    return "–" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def known(value: Any) -> bool:
    """Whether a metric is a number, or the summary of some."""
    return bool(value.get("n")) if isinstance(value, Mapping) else isinstance(value, int | float) and value == value


def slug(index: int, name: str) -> str:
    """Part of a file name and an id."""
    letters = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24]
    return f"{index + 1}-{letters}" if letters else str(index + 1)


def main_metric(kind: str) -> str:
    """The metric by which a task of a kind is judged."""
    return KIND_METRICS[TaskKind(kind)].primary.name


def duration(value: float) -> str:
    """Seconds as 3 h 20 min, 12 min or 40 s."""
    minutes = round(value / 60)
    if value < 90:
        return f"{value:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def seconds(value: Any) -> str:
    """A duration in the unit that suits it."""
    if not isinstance(value, int | float):
        return "–"
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(value: Any) -> str:
    """Bytes as GiB."""
    return f"{value / 2**30:.2f} GiB" if isinstance(value, int | float) else "–"


def reason(value: Any) -> str | None:
    """Why a metric is undefined, if it is."""
    return clean(value["undefined"]) if isinstance(value, Mapping) and "undefined" in value else None


def scaled(value: float | None) -> str:
    """Three digits and a unit, 1.5k or 20M, or a dash."""
    if value is None:
        return "–"
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"
