"""Write names and numbers for readers. Names come from users' tables and may hold any character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from automtl.tables.names import shown
from automtl.tables.schema import TaskKind
from automtl.training.metrics import KIND_METRICS

METRIC_NAMES = {  # in the order in which they are shown
    "auc": "AUC", "gauc": "GAUC", "log_loss": "log loss", "pr_auc": "PR-AUC", "calibration_error": "calibration error",
    "normalized_entropy": "normalized entropy", "ndcg": "NDCG", "rmse": "RMSE", "mae": "MAE", "mtl_loss": "MTL-Loss",
}  # fmt: skip
LEAST = 5e-5  # a smaller number has no digit among four decimals
HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\ufffe\uffff]")  # marks of text direction, and non-characters


def clean(text: object) -> str:
    """Return text as one line without control characters, which XML cannot hold."""
    spaced = " ".join(HIDDEN.sub("\ufffd", shown(str(text))).split())
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in spaced)


def width(text: str) -> int:
    """Return the width of a text in narrow characters."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def shorten(text: object, room: int) -> str:
    """Shorten to `room` narrow characters by leaving out the middle, since similar names differ at their ends."""
    start = end = line = clean(text)
    if width(line) <= room:
        return line
    while width(start) > (room - 1) // 2:
        start = start[:-1]
    while width(end) > room - 1 - width(start):
        end = end[1:]
    return f"{start}…{end}"


def rounded(value: Any) -> str:
    """Write a number with four decimals, a smaller one with three digits, or a dash."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.3g}" if 0 < abs(value) < LEAST else f"{value:.4f}"


def signed(value: Any) -> str:
    """Write a difference with four decimals and its sign, or a dash."""
    return f"{value:+.4f}".replace("-", "−") if isinstance(value, int | float) else "–"


def percent(value: Any) -> str:
    """Write a share as per cent with three significant digits, or a dash."""
    return f"{100 * value:.3g} %" if isinstance(value, int | float) else "–"


def amount(value: Any) -> str:
    """Write a count with separated thousands, or a dash."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def plain(value: Any) -> str:
    """Write a setting's value, or a dash."""
    return "–" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def known(value: Any) -> bool:
    """Tell whether a metric is a number, or the summary of at least one."""
    return bool(value.get("n")) if isinstance(value, Mapping) else isinstance(value, int | float) and value == value


def slug(index: int, name: str) -> str:
    """Make a part of a file name and id."""
    letters = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24]
    return f"{index + 1}-{letters}" if letters else str(index + 1)


def main_metric(kind: str) -> str:
    """Return the metric by which a task of a kind is judged."""
    return KIND_METRICS[TaskKind(kind)].primary.name


def seconds(value: Any) -> str:
    """Write a duration in seconds, minutes or hours, or a dash."""
    if not isinstance(value, int | float):
        return "–"
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def milliseconds(value: Any) -> str:
    """Write a latency with three significant digits, or a dash."""
    return f"{value:.3g} ms" if isinstance(value, int | float) else "–"


def size(value: Any) -> str:
    """Write bytes as GiB, or a dash."""
    return f"{value / 2**30:.2f} GiB" if isinstance(value, int | float) else "–"


def reason(value: Any) -> str | None:
    """Return the reason why a metric is undefined, if it is."""
    return clean(value["undefined"]) if isinstance(value, Mapping) and "undefined" in value else None


def scaled(value: float | None) -> str:
    """Write three digits and a unit, such as 1.5k or 20M, or a dash."""
    if value is None:
        return "–"
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"
