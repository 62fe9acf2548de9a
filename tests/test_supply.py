"""Tests of what the package installs: its ranges of releases, and the audit of licences and vulnerabilities."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

from audit import licence_problems, vulnerabilities

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMES_WITH = {"markupsafe": "jinja2", "mlflow": "mlflow-skinny", "starlette": "fastapi"}  # which are made of them
OLDEST = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE))


def test_the_oldest_releases_are_those_that_the_package_admits() -> None:
    lower, more = (_bounds(needs) for needs in (PROJECT["dependencies"], PROJECT["optional-dependencies"]["storage"]))
    assert lower.pop("torch") == "2.9"  # its older releases for processors alone are not in every index
    del more["s3fs"]  # tests use no bucket
    tested = {name: release for name, release in OLDEST.items() if name not in ("click", "torch")}
    assert lower | more == {name: _as_written(release, (lower | more)[name]) for name, release in tested.items()}


def _bounds(needs: list[str]) -> dict[str, str]:
    """Map packages of requirements to the oldest release that each admits."""
    return dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", one).groups() for one in needs)  # type: ignore[union-attr]


def _as_written(release: str, lower: str) -> str:
    """Shorten a release to the form of a lower bound: 1.26.0 for 1.26."""
    parts, places = release.split("."), len(lower.split("."))
    return release if set(parts[places:]) - {"0"} else ".".join(parts[:places])


def test_the_tested_torch_is_in_the_range() -> None:
    (tested,) = re.findall(r"^torch==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert OLDEST["torch"] == tested
    assert tuple(map(int, version("torch").split("+")[0].split("."))) >= (2, 9)


def _names(needs: list[str]) -> set[str]:
    """The packages of requirements, as the index spells them."""
    return {re.split(r"[\[<>=~]", need)[0].lower().replace("_", "-") for need in needs}


def test_whatever_is_imported_is_a_dependency_or_in_an_extra() -> None:
    needed, extras = _names(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    declared = needed.union(*(_names(needs) for extra, needs in extras.items() if extra not in ("dev", "docs")))
    made_of = packages_distributions()
    missing = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            of = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            of += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for module in {name.partition(".")[0] for name in of} - {"automtl", *sys.stdlib_module_names}:
                found = {name.lower().replace("_", "-") for name in made_of.get(module, [module])}
                if not (found | {COMES_WITH.get(module, "")}) & declared:
                    missing[module] = path.name
    assert missing == {}


def test_every_extra_that_is_named_exists() -> None:
    pages = [*(ROOT / "src").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    named = {name for group in re.findall(r"automtl\[([a-z,-]+)\]", text) for name in group.split(",")}
    assert named <= set(PROJECT["optional-dependencies"]) and {"serve", "onnx", "catboost", "balancing"} <= named


def test_no_extra_but_the_one_that_says_so_needs_solvers_under_the_gpl() -> None:
    needed = {name: " ".join(of) for name, of in PROJECT["optional-dependencies"].items()}
    solvers = {name for name, of in needed.items() if "nash-mtl" in of or "quadprog" in of}
    assert solvers == {"balancing-gpl"}


def test_licences_are_judged() -> None:
    def of(*licences: str) -> list[str]:
        return licence_problems([{"Name": "a", "Version": "1", "License": one} for one in licences])

    assert of("MIT", "BSD License", "Apache-2.0 AND BSD-2-Clause", "Mozilla Public License 2.0 (MPL 2.0)") == []
    assert of("Copyright (c) someone\n\nPermission is hereby granted, free of charge, to any person") == []
    assert of("GPLv3", "GNU Lesser General Public License v3 (LGPLv3)", "UNKNOWN", "", "Some Licence", "LIMITED") == [
        "a 1: GPLv3", "a 1: GNU Lesser General Public License v3 (LGPLv3)", "a 1: UNKNOWN", "a 1: none named",
        "a 1: Some Licence", "a 1: LIMITED",
    ]  # fmt: skip
    assert of("MIT; GPLv2") == ["a 1: MIT; GPLv2"]


def test_vulnerabilities_are_listed() -> None:
    report = {
        "dependencies": [
            {"name": "sound", "version": "1", "vulns": []},
            {"name": "skipped", "skip_reason": "not in the index"},
            {"name": "old", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]},
        ]
    }
    assert vulnerabilities(report) == ["old 2: CVE-1, mended in 2.1"]
