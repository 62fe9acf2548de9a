"""Colours and fonts of reports. Drawings use the light palette; in a page, each colour is a variable of its style.

The palette can be told apart with any colour vision (after Okabe and Ito, 2008) and has a contrast of 3:1 or more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# name in the style sheet: (light, dark); light colours are distinct, since they stand for their names in drawings
COLOURS = {
    "ground": ("#ffffff", "#12161b"),
    "surface": ("#f4f6f8", "#1c2229"),
    "line": ("#d0d7de", "#39424d"),
    "muted": ("#59636e", "#a3adb8"),
    "text": ("#1c2128", "#e8edf2"),
    "series-0": ("#0066a6", "#6cb8f0"),
    "series-1": ("#c04c00", "#ff9f5a"),
    "series-2": ("#00785a", "#43d1a2"),
    "series-3": ("#a63f85", "#f09ed2"),
    "series-4": ("#846000", "#e6bf55"),
    "series-5": ("#5a4fb0", "#b3acf5"),
    "series-6": ("#007f91", "#5fd3e6"),
    "series-7": ("#6b4a3a", "#d2ab98"),
}
GROUND, SURFACE, LINE, MUTED, TEXT = (COLOURS[name][0] for name in ("ground", "surface", "line", "muted", "text"))
SERIES = tuple(light for name, (light, _) in COLOURS.items() if name.startswith("series"))
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
MARKERS = "os^DvP*X"

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "automtl",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "figure.dpi": 72,  # a unit of a drawing is a point, and a pixel of a page
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "text.color": TEXT,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "figure.facecolor": GROUND,
    "axes.facecolor": "none",
}


def colour(index: int) -> str:
    """Return the colour of a series; after the last colour they repeat, with other dashes."""
    return SERIES[index % len(SERIES)]


def dash(index: int) -> str | tuple[int, tuple[float, ...]]:
    """Return a line style that differs from those of neighbouring series."""
    return DASHES[(index + index // len(SERIES)) % len(DASHES)]


@contextmanager
def drawing() -> Iterator[None]:
    """Apply this style to figures made and written in the block, without warnings about missing glyphs."""
    import warnings

    from matplotlib import rc_context

    with rc_context(SETTINGS), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
