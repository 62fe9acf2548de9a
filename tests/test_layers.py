"""Imports point one way: from a floor of the house to the same floor or a lower one, and never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "automtl"
FLOORS = (
    ("errors", "_version"), ("system",), ("distributed",), ("tables",), ("histories",), ("features",), ("dataset",),
    ("nn",), ("operations",), ("space",), ("training",), ("models",), ("search", "ensemble"),
    ("report", "predictor", "trackers"), ("config",),
    ("experiment",), ("comparison",), ("paper", "serving"), ("estimator", "testing"), ("cli",),
    ("__init__", "__main__"),
)  # fmt: skip
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FILES = sorted(SOURCE.rglob("*.py"))
ROOMS = sorted({path.relative_to(SOURCE).parts[0] for path in FILES if path.parent != SOURCE})


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def imports(path: Path, *, when_loaded: bool = False) -> list[str]:
    """Modules below automtl that a file imports; `when_loaded`: not those of function bodies and of types alone."""
    tree = ast.parse(path.read_text())
    nodes = _loaded(tree.body) if when_loaded else list(ast.walk(tree))
    found = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "automtl":
            base = node.module.removeprefix("automtl").removeprefix(".")
            inner = [f"{base}.{alias.name}".removeprefix(".") for alias in node.names]
            found += [name if name in MODULES else base or "__init__" for name in inner]
    return found


def _loaded(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run when the module is loaded."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.Try) or (isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test)):
            found += _loaded(node.body)
    return found


def test_every_import_points_to_the_same_or_a_lower_floor() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in FILES
        for name in imports(path)
        if FLOOR[name.split(".")[0]] > FLOOR[room_of(path)]
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_no_imports_of_a_room_form_a_circle(room: str) -> None:
    inside = {
        module_of(path): {name for name in imports(path) if name.split(".")[0] == room and name != module_of(path)}
        for path in FILES
        if room_of(path) == room and path.name != "__init__.py"
    }
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_describing_things_imports_no_torch() -> None:
    loaded = "automtl, automtl.cli, automtl.space, automtl.tables.table, automtl.tables.labels"
    code = f"import sys, {loaded}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_drawing_is_imported_only_to_draw() -> None:
    code = "import sys, automtl.cli, automtl.report.folder; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
