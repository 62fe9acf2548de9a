"""Draws an architecture: fields, interaction, experts layer by layer, gates and towers (Figure 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from automtl.report.style import GROUND, MUTED, SURFACE, TEXT, colour
from automtl.report.words import clean, percent, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BOX, GAP, ROW = (92.0, 28.0), 12.0, 44.0  # size of an operation's box, between boxes, between experts
INPUT_WIDTH, FAN, LINKS, TASK_WIDTH = 124.0, 46.0, 170.0, 132.0
MARGIN, HEAD = 10.0, 30.0
LABEL = 14.5  # height of an expert's name beside a task
THICK = 9.0  # width of a link that has all the weight
SKIP = "skip"
Gates = Sequence[Sequence[float]] | None  # (T, E) mean gate weights; None: not known
SHARED = "interaction"  # the choice that all experts share


@dataclass(frozen=True)
class Box:
    """A rectangle: `x` of its left side, `y` of its centre, width and height, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Position half way between the left and the right side."""
        return self.x + self.width / 2


def operations_of(architecture: Mapping[str, Any], expert: int) -> list[str]:
    """Return an expert's operations in their order."""
    return [made[expert] for name, made in architecture["choices"].items() if name != SHARED]


def headings(architecture: Mapping[str, Any]) -> list[str]:
    """Return a title for each of an expert's operations."""
    return [choice_title(name) for name in architecture["choices"] if name != SHARED]


def choice_title(name: str) -> str:
    """Write a choice's name in words."""
    return name.replace("_", " ")


def shared_interaction(architecture: Mapping[str, Any]) -> str:
    """Return the interaction that all experts share."""
    found: str = architecture["choices"][SHARED][0]
    return found


def num_experts(architecture: Mapping[str, Any]) -> int:
    """Count the experts."""
    return len(architecture["choices"]["pooling"])


def skips(architecture: Mapping[str, Any]) -> int:
    """Count the skip connections of all blocks."""
    return sum(made.count(SKIP) for made in architecture["choices"].values())


def skip_places(architecture: Mapping[str, Any]) -> int:
    """Count the blocks that may be skipped: all but poolings."""
    return sum(len(made) for name, made in architecture["choices"].items() if name != "pooling")


def expert_name(index: int) -> str:
    """Return the name of an expert, counted from 0 as in architecture.json, in drawings, texts and tables."""
    return f"E{index}"


def describe(architecture: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """Describe the architecture in words."""
    parts = [f"Feature interaction: {shared_interaction(architecture)}."]
    for index in range(num_experts(architecture)):
        chain = ", ".join(operations_of(architecture, index))
        users = [task for task, chosen in zip(tasks, architecture["selection"], strict=True) if index in chosen]
        parts.append(f"{expert_name(index)}: {chain}; used by {', '.join(users)}.")
    return clean(" ".join(parts))


def draw_architecture(
    architecture: Mapping[str, Any], tasks: Sequence[str], fields: Sequence[str] = (), gates: Gates = None
) -> Figure:
    """Draw an architecture from fields to tasks. `fields`: lines of the first box; `gates`: thickness of links."""
    from matplotlib.figure import Figure

    titles, experts = headings(architecture), num_experts(architecture)
    heights = [max(40.0, LABEL * len(chosen) + 8) for chosen in architecture["selection"]]
    inner = max(ROW * experts, sum(heights) + 12 * len(heights), 150.0)
    left = MARGIN + INPUT_WIDTH + FAN + 28
    end = left + len(titles) * (BOX[0] + GAP) - GAP
    total = end + LINKS + TASK_WIDTH + MARGIN
    figure = Figure(figsize=(total / 72, (HEAD + inner + MARGIN) / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, total), ylim=(HEAD + inner + MARGIN, 0))
    axes.set_axis_off()
    source = _inputs(axes, shared_interaction(architecture), fields, HEAD + inner / 2)
    rows = [HEAD + inner * (index + 0.5) / experts for index in range(experts)]
    for place, title in enumerate(titles):
        _word(axes, left + place * (BOX[0] + GAP) + BOX[0] / 2, HEAD / 2, title, MUTED)
    _word(axes, total - MARGIN - TASK_WIDTH / 2, HEAD / 2, "gate and tower of", MUTED)
    for index, y in enumerate(rows):
        _expert(axes, expert_name(index), operations_of(architecture, index), left, y, source)
    targets = _targets(heights, inner, total - MARGIN - TASK_WIDTH)
    _links(axes, architecture["selection"], gates, end, rows, targets)
    for index, (task, box) in enumerate(zip(tasks, targets, strict=True)):
        _box(axes, box, shorten(task, 17), edge=colour(index), weight="bold")
    return figure


def _inputs(axes: Axes, interaction: str, fields: Sequence[str], y: float) -> Box:
    """Draw the fields above the shared interaction block, whose box is returned."""
    height = 22.0 + 14 * len(fields)
    top = Box(MARGIN, y - 12 - height / 2, INPUT_WIDTH, height)
    below = Box(MARGIN, y + 40, INPUT_WIDTH, 44)
    _box(axes, top, "")
    _word(axes, top.middle, top.y - height / 2 + 13, "fields", TEXT, weight="bold")
    for index, line in enumerate(fields):
        _word(axes, top.middle, top.y - height / 2 + 28 + 14 * index, shorten(line, 18), MUTED, fontsize=10.5)
    arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.2}
    axes.annotate("", (top.middle, below.y - below.height / 2), (top.middle, top.y + height / 2), arrowprops=arrow)
    _box(axes, below, "", dashed=interaction == SKIP)
    _word(axes, below.middle, below.y - 8, "interaction", MUTED, fontsize=10.5)
    _word(axes, below.middle, below.y + 8, shorten(interaction, 15), TEXT, weight="bold")
    return below


def _expert(axes: Axes, name: str, operations: Sequence[str], left: float, y: float, source: Box) -> None:
    _curve(axes, (source.x + source.width, source.y), (left - 28, y), MUTED, 0.9)
    _word(axes, left - 14, y, name, TEXT, weight="bold")
    for place, operation in enumerate(operations):
        box = Box(left + place * (BOX[0] + GAP), y, *BOX)
        if place:
            axes.plot([box.x - GAP, box.x], [y, y], color=MUTED, linewidth=1.2, zorder=1)
        _box(axes, box, shorten(operation, 12), dashed=operation == SKIP)


def _targets(heights: Sequence[float], inner: float, x: float) -> list[Box]:
    """Return the boxes of the tasks, spread over the height."""
    free = (inner - sum(heights)) / len(heights)
    tops = accumulate((height + free for height in heights), initial=HEAD + free / 2)
    return [Box(x, top + height / 2, TASK_WIDTH, height) for top, height in zip(tops, heights, strict=False)]


def _links(
    axes: Axes, selection: Sequence[Sequence[int]], gates: Gates, start: float, rows: Sequence[float],
    targets: Sequence[Box],
) -> None:  # fmt: skip
    """Draw links from experts to tasks; each ends beside its expert's name and weight."""
    room = 28 if gates is None else 68
    for task, (chosen, box) in enumerate(zip(selection, targets, strict=True)):
        for place, expert in enumerate(sorted(chosen)):
            weight = None if gates is None else gates[task][expert]
            users = [other for other, experts in enumerate(selection) if expert in experts]
            leave = rows[expert] + 5.0 * (users.index(task) - (len(users) - 1) / 2)
            arrive = box.y + LABEL * (place - (len(chosen) - 1) / 2)
            label = expert_name(expert) + ("" if weight is None else f" {percent(round(weight, 2))}")
            thick = 1.6 if weight is None else 0.7 + THICK * weight
            _curve(axes, (start, leave), (box.x - room, arrive), colour(task), thick)
            _word(axes, box.x - 4, arrive, label, TEXT, fontsize=10.5, ha="right")


def _box(axes: Axes, box: Box, text: str, *, edge: str = MUTED, dashed: bool = False, weight: str = "normal") -> None:
    from matplotlib.patches import FancyBboxPatch

    shape = FancyBboxPatch(
        (box.x, box.y - box.height / 2), box.width, box.height, boxstyle="round,pad=0,rounding_size=5",
        facecolor=GROUND if dashed else SURFACE, edgecolor=edge, linewidth=1.2,
        linestyle=(0, (3, 2)) if dashed else "-", zorder=2,
    )  # fmt: skip
    axes.add_patch(shape)
    _word(axes, box.middle, box.y, text, MUTED if dashed else TEXT, weight=weight)


def _word(axes: Axes, x: float, y: float, text: str, tint: str, *, ha: Any = "center", **style: Any) -> None:
    axes.text(x, y, text, ha=ha, va="center", color=tint, zorder=4, **({"fontsize": 11} | style))


def _curve(axes: Axes, start: tuple[float, float], end: tuple[float, float], tint: str, thick: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    middle = (start[0] + end[0]) / 2
    path = Path([start, (middle, start[1]), (middle, end[1]), end], [1, 4, 4, 4])
    axes.add_patch(PathPatch(path, facecolor="none", edgecolor=tint, linewidth=thick, alpha=0.85, zorder=1))
