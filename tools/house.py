"""What the source says of itself: its rooms, their size, who imports whom. Files are parsed, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "automtl"
LEFT_OUT = ("__init__", "__main__", "_version")  # the doors of the package: they hold no code of their own


@dataclass(frozen=True)
class House:
    """`lines` of each room, and `imports`: for each room the rooms it imports."""

    lines: Mapping[str, int]
    imports: Mapping[str, frozenset[str]]

    def floors(self) -> dict[str, int]:
        """Floor of each room: one above the highest room that it imports, the ground floor is 0."""
        floors: dict[str, int] = {}
        for room in TopologicalSorter(self.imports).static_order():
            floors[room] = 1 + max((floors[below] for below in self.imports[room]), default=-1)
        return floors

    def stairs(self) -> set[tuple[str, str]]:
        """Imports that no chain of other imports implies: the fewest arrows that say who stands on whom."""
        reach: dict[str, set[str]] = {}
        for room in TopologicalSorter(self.imports).static_order():
            reach[room] = set().union(*(reach[below] | {below} for below in self.imports[room]))
        return {
            (room, below)
            for room, direct in self.imports.items()
            for below in direct
            if not any(below in reach[other] for other in direct - {below})
        }


def read_house() -> House:
    """The house as it stands."""
    lines: dict[str, int] = {}
    imports: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room not in LEFT_OUT:
            text = path.read_text(encoding="utf-8")
            lines[room] = lines.get(room, 0) + len(text.splitlines())
            imports.setdefault(room, set()).update(_imported(text) - {room, *LEFT_OUT})
    return House(lines, {room: frozenset(below) for room, below in imports.items()})


def error_family() -> dict[str, tuple[str | None, str]]:
    """Each class of errors.py in its order: its parent there, if any, and the first sentence of its docstring."""
    classes = [node for node in ast.parse((SOURCE / "errors.py").read_text()).body if isinstance(node, ast.ClassDef)]
    names = {node.name for node in classes}
    return {
        node.name: (
            next((base.id for base in node.bases if isinstance(base, ast.Name) and base.id in names), None),
            (ast.get_docstring(node) or "").split(". ")[0].splitlines()[0].removesuffix(".") + ".",
        )
        for node in classes
    }


def _imported(text: str) -> set[str]:
    """Rooms that a file imports, in functions and for types, too."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    paths = [f"{node.module}.{alias.name}".split(".") for node in nodes for alias in node.names]
    return {path[1] for path in paths if path[0] == "automtl"}
