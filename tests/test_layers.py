"""Imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "automtl"
ORDER = (
    ("errors", "_version", "memory", "statistics"), ("data",), ("nn",), ("operations",), ("space",),
    ("models", "training"),
    ("search",), ("report", "predictor", "trackers"), ("config",), ("contenders",), ("recipes",),
    ("estimator",), ("cli",), ("__init__", "__main__"),
)  # fmt: skip
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    found = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return [name.split(".")[1] if "." in name else "__init__" for name in found if name.split(".")[0] == "automtl"]


def test_every_import_points_to_the_same_or_a_lower_layer() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        for name in imports(path)
        if RANK[name] > RANK[part_of(path)]
    ]
    assert not wrong


def test_describing_things_imports_no_torch() -> None:
    code = "import sys, automtl, automtl.cli, automtl.space, automtl.data.schema; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_drawing_is_imported_only_to_draw() -> None:
    code = "import sys, automtl.cli, automtl.report.folder; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
