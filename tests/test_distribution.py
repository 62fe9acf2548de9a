"""What is released: the source archive tests itself; the wheel and a stranger's package work from another folder."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import polars as pl
import pytest

from automtl._version import __version__
from automtl.testing import OPERATION_LAWS
from house import ROOT
from release_notes import notes_of

PAGE = (ROOT / "docs" / "own-operation.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "examples" / "my_operation"
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(folder: Path, kind: str, out: Path) -> Path:
    """Build what `pip` or `build` would, with the setuptools that is installed."""
    command = [sys.executable, "-c", BUILD, kind, str(out)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, built from a copy of the repository and unpacked."""
    folder = tmp_path_factory.mktemp("source")
    named = re.findall(r"^(?:include|graft) (.+)$", (ROOT / "MANIFEST.in").read_text(), re.MULTILINE)
    for name in ("MANIFEST.in", "pyproject.toml", "README.md", "LICENSE", "src", *" ".join(named).split()):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    with tarfile.open(build(folder, "build_sdist", folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked" / f"automtl-{__version__}"


def test_the_source_archive_tests_itself(unpacked: Path) -> None:
    chosen = ["tests/test_layers.py", "tests/test_supply.py"]
    environment = os.environ | {"PYTHONPATH": str(unpacked / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", *chosen],
        cwd=unpacked, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_page_on_operations_shows_the_package_and_its_commands_run_with_the_wheel(
    unpacked: Path, tmp_path: Path
) -> None:
    for name in ("pyproject.toml", "my_operation/maxout.py", "tests/test_laws.py", "settings.yaml"):
        assert (PACKAGE / name).read_text() in PAGE, name
    shutil.copytree(PACKAGE, tmp_path / "my_operation", ignore=shutil.ignore_patterns("__pycache__"))
    wheels = [build(unpacked, "build_wheel", tmp_path), build(tmp_path / "my_operation", "build_wheel", tmp_path)]
    bin_folder = clean_environment(tmp_path / "clean", wheels)
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = []
    for command in map(shlex.split, commands.replace("\\\n", " ").splitlines()):
        if command[0] == "automtl":  # the others: an install that asks an index, and the laws, which run below
            done = subprocess.run(
                [bin_folder / "automtl", *command[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, (command, done.stderr)
            ran.append(done.stdout)
    assert len(ran) == 3 and "my_operation.maxout:Maxout-2" in ran[1]
    assert pl.read_parquet(tmp_path / "scores.parquet").columns == ["click", "buy"]


def clean_environment(folder: Path, wheels: list[Path]) -> Path:
    """Make a virtual environment with these wheels; what they need comes from the one that runs the tests."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "needed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run([*install, *map(str, wheels)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_the_tests_of_the_package_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PACKAGE))
    tests = runpy.run_path(str(PACKAGE / "tests" / "test_laws.py"))
    assert tests["OPERATION_LAWS"] is OPERATION_LAWS
    for law in OPERATION_LAWS:
        tests["test_maxout_obeys_the_law"](law, 3)


def test_release_notes_are_the_section_of_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    notes = notes_of(changelog, __version__)
    assert notes.startswith(f"## {__version__} - ") and notes.count("\n## ") == 0 and "### Added" in notes
    newer = changelog.replace("## [", "## [0.2.0] - 2030-01-02\n\n- Faster.\n\n## [", 1)
    assert notes_of(newer, "0.2.0") == "## 0.2.0 - 2030-01-02\n\n- Faster.\n"
    with pytest.raises(SystemExit, match="no section"):
        notes_of(changelog, "9.9.9")
