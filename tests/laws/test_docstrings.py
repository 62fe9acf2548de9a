"""A docstring's first line is understood without its neighbours (CONTRIBUTING.md, English)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "automtl"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Openings that lean on what stands before them, or on the signature alone.
LEANING = re.compile(
    r"(Of|By|The same|Those|That|Whose|As|With|Without|In|To|So many|Such|Or|And|None|What(?! (is|are|does|do)\b))\b"
    r"|`\w+`[:;,]"
)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_first_lines_stand_alone(path: Path) -> None:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, DOCUMENTED)]
    found = [(node, (ast.get_docstring(node) or "").split("\n")[0]) for node in nodes]
    leaning = [f"{getattr(node, 'name', 'module')}: {line}" for node, line in found if LEANING.match(line)]
    assert not leaning


def test_every_public_definition_has_a_docstring() -> None:
    """Overrides say what their base says."""
    missing = []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef)
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                missing.append(f"{path.relative_to(SOURCE)}: {node.name}")
    assert not missing
