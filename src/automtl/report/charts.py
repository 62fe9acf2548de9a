"""Charts of one panel, small enough for a phone. Lines are named where they end, so no chart needs a legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from automtl.report.labels import AWAY, place_names
from automtl.report.style import GROUND, LINE, MARKERS, MUTED, TEXT, colour, dash
from automtl.report.words import scaled, shorten, signed, width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 350, 250  # size of a panel in pixels of the page
LABEL_GAP = 13.5  # pixels between the middles of two labels
LETTER = 6.6  # width of a narrow letter of a label in pixels
LABEL_ROOM = 16  # most letters of a label beside a panel
CELL = 20  # least width in pixels of a cell whose value is printed


@dataclass(frozen=True)
class Line:
    """A named sequence of points. `index`: decides colour, dash and marker; `muted`: drawn thin and grey."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    index: int = 0
    muted: bool = False
    steps: bool = False


@dataclass(frozen=True)
class Mark:
    """A vertical line at `x` or a horizontal line at `y`, with a name."""

    name: str
    x: float | None = None
    y: float | None = None


def panel(
    height: float = HEIGHT, left: float = 56, right: float = 10, top: float = 18, bottom: float = 44
) -> tuple[Figure, Axes]:
    """Make a figure of one set of axes; margins in pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72))
    box = (left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (top + bottom) / height)
    return figure, figure.add_axes(box)


def _rows(names: Sequence[str], row: float, rest: float, **margins: float) -> tuple[Figure, Axes]:
    """Make a panel of named rows, each `row` pixels high, plus `rest` pixels; names stand in the left margin."""
    figure, axes = panel(rest + row * len(names), left=16 + LETTER * _room(names), **margins)
    axes.set_yticks(range(len(names)), [shorten(name, LABEL_ROOM) for name in names])
    axes.tick_params(length=0)
    return figure, axes


def _room(names: Iterable[str]) -> int:
    """Return the width in letters of the longest of some labels."""
    return max((width(shorten(name, LABEL_ROOM)) for name in names), default=0)


def lines(
    series: Sequence[Line], x_label: str, y_label: str, *, marks: Sequence[Mark] = (),
    limits: tuple[float, float] | None = None, counts: bool = False,
) -> Figure:  # fmt: skip
    """Draw lines over x, each with its name at its end. `counts`: y counts things."""
    from matplotlib.ticker import MaxNLocator

    named = [line for line in series if not line.muted]
    figure, axes = panel(left=64, right=14 + LETTER * _room(line.name for line in named))
    for line in sorted(series, key=lambda line: not line.muted):
        _draw(axes, line)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=counts))
    axes.margins(x=0.02)
    if limits is not None:
        axes.set_ylim(*limits)
    for mark in marks:
        _mark(axes, mark)
    _name_ends(axes, named)
    return figure


def _draw(axes: Axes, line: Line) -> None:
    style: dict[str, Any] = {"color": LINE, "linewidth": 1.0} if line.muted else {
        "color": colour(line.index), "linestyle": dash(line.index), "zorder": 3,
    }  # fmt: skip
    if not line.muted and len(line.x) <= 20:
        style |= {"marker": MARKERS[line.index % len(MARKERS)], "markeredgecolor": GROUND, "markeredgewidth": 0.6}
    axes.plot(line.x, line.y, drawstyle="steps-post" if line.steps else "default", **style)


def _space_ticks(axes: Axes) -> None:
    """Take as many ticks of x as their labels have room for, five at most."""
    from matplotlib.ticker import MaxNLocator

    for most in (5, 4, 3, 2, 1):
        axes.xaxis.set_major_locator(MaxNLocator(most))
        labels = axes.xaxis.get_major_formatter().format_ticks(axes.xaxis.get_ticklocs().tolist())
        if sum(LETTER * width(label) + LETTER for label in labels) <= axes.get_window_extent().width:
            return


def _mark(axes: Axes, mark: Mark) -> None:
    style: dict[str, Any] = {"color": MUTED, "linewidth": 1, "linestyle": (0, (2, 2)), "zorder": 1}
    word: dict[str, Any] = {"color": MUTED, "fontsize": 10, "va": "bottom"}
    if mark.x is not None:
        axes.axvline(mark.x, **style)
        low, high = axes.get_xlim()
        side = "right" if mark.x > low + 0.6 * (high - low) else "left"
        axes.text(mark.x, 1.0, f" {mark.name} ", transform=axes.get_xaxis_transform(), ha=side, **word)
    elif mark.y is not None:
        axes.axhline(mark.y, **style)
        axes.text(0.01, mark.y, mark.name, transform=axes.get_yaxis_transform(), ha="left", **word)


def _name_ends(axes: Axes, named: Sequence[Line]) -> None:
    """Write names right of the last points, moved apart where they would overlap."""
    ends = [line for line in named if len(line.y) and line.name]
    low, high = axes.get_ylim()
    pixels = axes.get_window_extent().height
    wanted = [(line.y[-1] - low) / (high - low) * pixels for line in ends]
    for line, place in zip(ends, spread(wanted, LABEL_GAP, pixels), strict=True):
        axes.annotate(
            shorten(line.name, LABEL_ROOM), (1.0, place / pixels), xycoords="axes fraction", xytext=(6, 0),
            textcoords="offset points", va="center", color=colour(line.index), fontsize=11, annotation_clip=False,
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float, top: float) -> list[float]:
    """Find places near the wanted ones, at least `gap` apart and, if there is room, between 0 and `top`."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = list(wanted)
    for before, after in pairwise(order):
        places[after] = max(places[after], places[before] + gap)
    ceiling = max(top, 0.0)
    for index in reversed(order):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    return places


def heat(
    values: Sequence[Sequence[float]], rows: Sequence[str], x: Sequence[int], x_label: str, outlined: Sequence[int] = ()
) -> Figure:
    """Draw (rows, len(x)) values as depth of colour and print the last column; `outlined` rows are marked as chosen."""
    figure, axes = _rows(rows, 20, 62, right=56)
    _cells(axes, values, max((max(row) for row in values if len(row)), default=0.0) or 1.0, 0.96)
    axes.set(xlabel=x_label)
    shown = range(0, len(x), -(-len(x) // 4) or 1)
    axes.set_xticks([column + 0.47 for column in shown], [str(x[column]) for column in shown])
    for row in range(len(rows)):
        chosen = row in outlined
        axes.text(
            len(x) + 0.15, row, f"{values[row][-1]:.2f}{' ●' if chosen else ''}", va="center",
            color=TEXT if chosen else MUTED, fontsize=10.5, weight="bold" if chosen else "normal", clip_on=False,
        )  # fmt: skip
    return figure


def grid(values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], peak: float) -> Figure:
    """Draw (rows, columns) values from 0 to `peak` as depth of colour, each printed in its cell."""
    figure, axes = _rows(rows, 26, 34, bottom=6, top=28)
    _cells(axes, values, peak, 0.46)
    room = axes.get_window_extent().width / len(columns)  # pixels of a cell
    every = -(-int(LETTER * _room(columns) + 4) // int(room)) or 1  # columns that share a name
    axes.set_xticks([place + 0.47 for place in range(0, len(columns), every)], columns[::every])
    axes.xaxis.tick_top()
    for place, row in enumerate(values if room > CELL else ()):
        for column, value in enumerate(row):
            text = f"{value:.2f}".removeprefix("0")
            axes.text(column + 0.47, place, text, ha="center", va="center", color=TEXT, fontsize=10)
    return figure


def _cells(axes: Axes, values: Sequence[Sequence[float]], peak: float, deepest: float) -> None:
    """Draw a rectangle for each value, whose colour is deeper the larger it is. `deepest`: opacity of the peak."""
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    places = [(row, column) for row in range(len(values)) for column in range(len(values[0]))]
    depths = [max(values[row][column], 0) / peak for row, column in places]
    faces = [to_rgba(colour(0), round(0.04 + deepest * depth, 3)) for depth in depths]
    cells = [Rectangle((column, row - 0.45), 0.94, 0.9) for row, column in places]
    axes.add_collection(PatchCollection(cells, facecolors=faces, edgecolors="none"))
    axes.set(xlim=(0, len(values[0])), ylim=(len(values) - 0.45, -0.45))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def band(
    x: Sequence[float], quantiles: Sequence[Sequence[float]], x_label: str, y_label: str, marks: Sequence[Mark] = ()
) -> Figure:
    """Draw minimum, quartiles and maximum, (len(x), 5), as two bands and a line."""
    figure, axes = panel(right=86)
    low, first, middle, third, high = zip(*quantiles, strict=True)
    axes.fill_between(x, low, high, color=colour(0), alpha=0.15, linewidth=0)
    axes.fill_between(x, first, third, color=colour(0), alpha=0.3, linewidth=0)
    axes.plot(x, middle, color=colour(0))
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.margins(x=0.02)
    for mark in marks:
        _mark(axes, mark)
    names = ("lowest", "quarter", "median", "3 quarters", "highest")
    _name_ends(axes, [Line(name, x, values) for name, values in zip(names, (low, first, middle, third, high))])
    return figure


def square(curve: Sequence[Sequence[float]], x_label: str, y_label: str, *, dots: bool, index: int) -> Figure:
    """Draw a curve beside the diagonal; both axes have the same scale and start at 0."""
    figure, axes = panel(310)
    end = max((max(point) for point in curve), default=1.0) * 1.04 if dots else 1.0
    axes.plot([0, end], [0, end], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    xs, ys = [point[0] for point in curve], [point[1] for point in curve]
    axes.plot(xs, ys, color=colour(index), marker="o" if dots else None, linewidth=1.2 if dots else 1.8)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, end), ylim=(0, end))
    _space_ticks(axes)
    return figure


def intervals(
    rows: Sequence[tuple[str, Sequence[float], float, float]], x_label: str, outlined: int | None = None
) -> Figure:
    """Draw rows of (name, points, mean, deviation): small points, and the mean with a bar of one deviation each way."""
    figure, axes = _rows([name for name, *_ in rows], 26, 62, right=16)
    for place, (_, points, mean, deviation) in enumerate(rows):
        tint = colour(0 if place == outlined else 1)
        axes.plot([mean - deviation, mean + deviation], [place, place], color=tint, linewidth=2.5, alpha=0.45)
        axes.plot(points, [place + 0.22] * len(points), "o", color=tint, markersize=3.2, alpha=0.8)
        axes.plot([mean], [place], MARKERS[2] if place == outlined else MARKERS[1], color=tint, markersize=6.5)
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_color(TEXT)
        label.set_fontweight("bold" if place == outlined else "normal")
    axes.set(xlabel=x_label, ylim=(len(rows) - 0.4, -0.6))
    _space_ticks(axes)
    return figure


def scatter(points: Sequence[tuple[str, float, float]], x_label: str, y_label: str, outlined: str) -> Figure:
    """Draw named points over a logarithmic x."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, axes = panel(300, left=62)
    xs = [x for _, x, _ in points]
    axes.set_xscale("log")
    axes.set_xlim(min(xs) / 1.6, max(xs) * 1.6)
    for name, x, y in points:
        mine = name == outlined
        axes.plot(
            [x], [y], MARKERS[2] if mine else MARKERS[0], color=colour(0 if mine else 1), markersize=9 if mine else 8,
            markeredgecolor=GROUND, markeredgewidth=0.7, zorder=4 if mine else 3,
        )  # fmt: skip
    axes.margins(y=0.15)
    axes.set(xlabel=x_label, ylabel=y_label)
    between = (1, 2, 5) if max(xs) < 50 * min(xs) else (1,)
    axes.xaxis.set_major_locator(LogLocator(10, subs=between, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scaled(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    _name_points(axes, points, outlined)
    return figure


def _name_points(axes: Axes, points: Sequence[tuple[str, float, float]], outlined: str) -> None:
    """Write names beside their points, placing the outlined one first; a line leads to a name that is further off."""
    axes.get_ylim()  # settles the scale
    origin = axes.get_window_extent()
    ordered = sorted(points, key=lambda point: point[0] != outlined)
    names = [shorten(name, LABEL_ROOM) for name, _, _ in ordered]
    places = [tuple(axes.transData.transform((x, y)) - (origin.x0, origin.y0)) for _, x, y in ordered]
    boxes = place_names(places, [LETTER * width(name) for name in names], origin.width, origin.height)
    for (name, x, y), shown, (across, up), box in zip(ordered, names, places, boxes, strict=True):
        right, lift = box.left > across, box.middle - up
        leader = {
            "arrowstyle": "-", "color": MUTED, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4,
            "relpos": (0 if right else 1, 0.5),
        }  # fmt: skip
        axes.annotate(
            shown, (x, y), xytext=(AWAY if right else -AWAY, lift), textcoords="offset points", fontsize=10.5,
            ha="left" if right else "right", va="center", color=TEXT, weight="bold" if name == outlined else "normal",
            arrowprops=leader if abs(lift) > LABEL_GAP else None,
        )  # fmt: skip


def gains(rows: Sequence[tuple[str, float, float, float, str]], x_label: str) -> Figure:
    """Draw rows of (name, difference, low, high, conclusion) on both sides of 0; the conclusion decides the mark."""
    styles = {"better": ("^", colour(0)), "worse": ("v", colour(1))}
    figure, axes = _rows([name for name, *_ in rows], 30, 62, right=16)
    axes.axvline(0, color=MUTED, linewidth=1.2)
    for place, (_, difference, low, high, conclusion) in enumerate(rows):
        marker, tint = styles.get(conclusion, ("D", MUTED))
        axes.plot([low, high], [place, place], color=tint, linewidth=2.2)
        axes.plot([difference], [place], marker, color=tint, markersize=7)
        axes.text(
            difference, place - 0.25, signed(difference), ha="center", va="bottom", fontsize=10, zorder=2.5,
            bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 0.5},  # keeps the line of no difference off it
        )  # fmt: skip
    axes.set(xlabel=x_label, ylim=(len(rows) - 0.4, -0.8))
    axes.margins(x=0.14)
    _space_ticks(axes)
    return figure


@dataclass(frozen=True)
class Stair:
    """A step from a value of a metric, `before`, to another; the first step starts where it ends, and has no `gain`.

    `interval`: of the value, given the one before. `sure`: the interval of the gain holds no 0.
    """

    name: str
    value: float
    before: float
    gain: float | None = None
    interval: tuple[float, float] | None = None
    sure: bool = False


def stairs(rows: Sequence[Stair], x_label: str) -> Figure:
    """Draw each step as a bar from the value before to the value after it, with its interval, and write the gain.

    A sure step is a triangle that points to where the metric went; others are diamonds.
    """
    figure, axes = _rows([row.name for row in rows], 34, 62, right=24)
    for place, row in enumerate(rows):
        tint = MUTED if not row.sure or row.gain is None else colour(0 if row.gain > 0 else 1)
        marker = "D" if not row.sure else ">" if row.value > row.before else "<"
        axes.barh(place, row.value - row.before, 0.4, row.before, color=tint, alpha=0.3, linewidth=0)
        if row.interval is not None:
            axes.plot(row.interval, [place, place], color=tint, linewidth=1.8)
        if place:
            axes.plot([row.before] * 2, [place - 1, place], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        axes.plot([row.value], [place], marker, color=tint, markersize=6.5, zorder=3)
        axes.text(
            row.value, place - 0.26, f"{row.value:.4f}" if row.gain is None else signed(row.gain), ha="center",
            va="bottom", fontsize=10, zorder=4, bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axes.set(xlabel=x_label, ylim=(len(rows) - 0.4, -0.8))
    axes.use_sticky_edges = False  # bars, too, keep off the edges
    axes.margins(x=0.16)
    _space_ticks(axes)
    return figure
