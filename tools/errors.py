"""The catalogue of errors, docs/errors.md: every message of the source, and what to do about it.

python tools/errors.py                  write the page anew; what was written by hand beside messages stays
python tools/errors.py --reached FILE   list the messages that no test made, from `pytest --record-errors FILE`
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from house import ROOT, SOURCE

PAGE = ROOT / "docs" / "errors.md"
CLASSES = (
    "TableError", "SchemaError", "RowError", "EncodingError", "FileError", "SettingsError", "SpaceError",
    "DivergedError", "StorageError", "WorkerError", "ClusterError", "ComparisonError",
    "ArgumentError", "NotFittedModelError",
)  # fmt: skip
REGISTRY = "self.error"  # system/registry.py raises the class of its kind
HANDED_ON = re.compile(r"\{[^}]*\}(: \{[^}]*\})?")  # a message that was made elsewhere, or only with a place before it
SHOWN = {"suggestion": "; did you mean ...?", "len": "number"}  # what calls of functions give
AREAS: dict[str, tuple[str, ...]] = {  # title: what paths below src/automtl begin with
    "Command line": ("cli/",),
    "Reading tables": (
        "tables/reading/",
        "tables/table.py",
        "tables/names.py",
        "tables/catalog/",
        "tables/synthetic.py",
    ),
    "Schemas and columns": ("tables/", "errors.py"),
    "Values and encoding": ("tables/values/", "features/", "histories/"),
    "Prepared tables": ("dataset/",),
    "Settings": ("config.py", "training/", "search/", "system/registry.py", "system/trust.py", "trackers/"),
    "Spaces, operations and models": ("space/", "operations/", "nn/", "models/"),
    "Saved models": ("predictor.py", "ensemble/saved_model.py", "ensemble/spec.py"),
    "Boosted trees and ensembles": ("ensemble/",),
    "Fits and what follows them": ("experiment/", "estimator.py"),
    "Comparisons and reproductions": ("comparison/", "paper/"),
    "Serving, export and drift": ("serving/",),
    "Reports": ("report/",),
    "Clusters": ("distributed/",),
    "Object storage": ("system/address.py", "system/storage.py", "system/cache.py", "dataset/stored.py"),
    "Files": ("system/",),
}
INTRODUCTION = """# Errors

A mistake in what is given to `automtl` ends in one line, `error: ...`, and the exit code 2; in Python it is an
`automtl.AutomtlError`. These are all of them, as the source has them: `{name}` stands for what a message names. Most
say what to do; where one does not, the second column does. Warnings are not here, nor are answers of the server
([serving](serving.md)).
"""


@dataclass(frozen=True)
class Site:
    """A place in the source that makes an error. `path`: below src/automtl; `lines`: of the call, first and last."""

    path: str
    lines: tuple[int, int]
    message: str

    @property
    def area(self) -> str:
        """The title of the area whose path is the most exact one."""
        fitting = {begin: title for title, begins in AREAS.items() for begin in begins if self.path.startswith(begin)}
        return fitting[max(fitting, key=len)]


def sites() -> list[Site]:
    """Find all places that make an error, in the order of the source."""
    return [site for path in sorted(SOURCE.rglob("*.py")) for site in _sites_of(path)]


def _sites_of(path: Path) -> Iterator[Site]:
    place, tree = path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
    known = _constants(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (*CLASSES, REGISTRY) and node.args:
            first, last = node.lineno, node.end_lineno or node.lineno
            parts = node.args[1:] if ast.unparse(node.func) == "RowError" else node.args[:1]
            for message in _messages(parts, known):
                if not HANDED_ON.fullmatch(message):
                    yield Site(place, (first, last), message)


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that names of a module stand for."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _messages(parts: Sequence[ast.expr], known: Mapping[str, str]) -> list[str]:
    """Return the messages that an expression may have; a RowError is made of two parts."""
    if len(parts) == 2:
        what, remedies = _texts(parts[0], known), _texts(parts[1], known)
        return [f"{one} in row {{row}}; {remedy}" for one in what for remedy in remedies]
    return _texts(parts[0], known)


def _texts(node: ast.expr, known: Mapping[str, str]) -> list[str]:
    """Return the texts of an expression, with names in braces."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.Name) and node.id in known:
        return [known[node.id]]
    if isinstance(node, ast.JoinedStr):
        return ["".join(_piece(value, known) for value in node.values)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, known), *_texts(node.orelse, known)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in _texts(value, known)]
    return [f"{{{_name(node)}}}"]


def _piece(value: ast.expr, known: Mapping[str, str]) -> str:
    if isinstance(value, ast.FormattedValue):
        inner = value.value
        return known[inner.id] if isinstance(inner, ast.Name) and inner.id in known else f"{{{_name(inner)}}}"
    return str(value.value) if isinstance(value, ast.Constant) else "{...}"


def _name(node: ast.expr) -> str:
    """Name what a message shows: the last name of a chain, else dots."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return "type" if node.attr == "__name__" else node.attr
    if isinstance(node, ast.Call) and ast.unparse(node.func) in SHOWN:
        return SHOWN[ast.unparse(node.func)]
    if isinstance(node, ast.Call) and node.args and not isinstance(node.args[0], ast.GeneratorExp | ast.Constant):
        return _name(node.args[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _name(node.func.value)
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.IfExp):
        return next((name for part in ast.iter_child_nodes(node) if (name := _name_of(part)) != "..."), "...")
    return _name(node.value) if isinstance(node, ast.Subscript) else "..."


def _name_of(node: ast.AST) -> str:
    return _name(node) if isinstance(node, ast.expr) else "..."


def row_of(message: str) -> str:
    """Write a message as a cell of a table."""
    return "`" + message.replace("`", "'").replace("|", "/") + "`"


def notes(page: str) -> dict[str, str]:
    """Read the second column of a page, by the cell of the first."""
    rows = re.findall(r"^\| (`.*?`) \| (.*?) ?\|$", page, re.MULTILINE)
    return dict(rows)


def written(found: Sequence[Site], known: dict[str, str]) -> str:
    """Write the page. known: what stands beside messages."""
    text = INTRODUCTION
    for title in AREAS:
        cells = sorted({row_of(site.message) for site in found if site.area == title})
        if cells:
            rows = "\n".join(f"| {cell} | {known.get(cell, '')} |".replace("|  |", "| |") for cell in cells)
            text += f"\n## {title}\n\n| message | what it means, what to do |\n| --- | --- |\n{rows}\n"
    return text


def unreached(found: Sequence[Site], record: str) -> list[Site]:
    """List the sites of which a record of `path:line` lines has none."""
    reached: dict[str, set[int]] = {}
    for line in record.split():
        path, _, number = line.rpartition(":")
        reached.setdefault(path, set()).add(int(number))
    return [site for site in found if not reached.get(site.path, set()) & {*range(site.lines[0], site.lines[1] + 1)}]


def main() -> int:
    """Write the page, or list what was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reached", type=Path, metavar="FILE")
    given = parser.parse_args()
    if given.reached is None:
        known = notes(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
        PAGE.write_text(written(sites(), known), encoding="utf-8")
        return 0
    left = unreached(sites(), given.reached.read_text(encoding="utf-8"))
    for site in left:
        print(f"{site.path}:{site.lines[0]}: {site.message}")
    print(f"{len(left)} of {len(sites())} messages were made by no test")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
