"""Names in a folder import only packages that the user allows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from automtl.config import read_settings
from automtl.errors import AutomtlError, FileError, SettingsError, SpaceError
from automtl.experiment.fit import fit_table
from automtl.operations.base import OPERATIONS
from automtl.predictor import Predictor
from automtl.system.manifest import MODEL, checksums
from automtl.system.trust import allowing, may_import, names_of_folder
from automtl.tables.synthetic import synthetic_log

TRAP = "raise SystemExit('a folder ran code')"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that can be imported and must not be."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "trap_of_folder.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return "trap_of_folder"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trust") / "model"
    quick = {
        "report": False, "presets": [], "ensemble": False, "strategy": "random",
        "search": {"trials": 1, "min_steps": 1, "max_steps": 1},
        "space": {"preset": "published", "experts": 2, "layers": 1}, "training": {"epochs": 1},
    }  # fmt: skip
    fit_table(synthetic_log(rows=300, seed=0), ["click"], settings=read_settings(None, quick), out=folder)
    return folder


def bent(model: Path, into: Path, part: str, old: str, new: str) -> Path:
    """Copy a model folder with a change of one file, and the checksums of what it holds then."""
    names = MODEL.verify(model)["files"]
    files = {name: (model / name).read_bytes() for name in names}
    assert old.encode() in files[part]
    files[part] = files[part].replace(old.encode(), new.encode(), 1)
    into.mkdir()
    for name, content in files.items():
        (into / name).write_bytes(content)
    MODEL.write(into, {}, checksums(into, files))
    return into


def test_names_of_a_folder_import_nothing_that_is_not_allowed(trap: str) -> None:
    with names_of_folder():
        with pytest.raises(SpaceError, match=f"--allow {trap}"):
            OPERATIONS.find(f"{trap}:X")
        with pytest.raises(SpaceError, match="--allow antigravity"), allowing(["other", "anti"]):
            OPERATIONS.find("antigravity:X")
    assert trap not in sys.modules and "antigravity" not in sys.modules


def test_a_module_that_exits_when_it_is_imported_is_an_error(trap: str) -> None:
    with names_of_folder(), allowing(trap), pytest.raises(SpaceError, match="a folder ran code"):
        OPERATIONS.find(f"{trap}:X")


def test_allowed_packages_hold_what_is_below_them_alone() -> None:
    with names_of_folder(), allowing(["mine.parts"]):
        assert may_import("mine.parts:X") and may_import("mine.parts.one:X")
        assert not may_import("mine:X") and not may_import("mine.parts2:X")
    assert may_import("anything:X")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a:b", "."])
def test_what_is_no_package_cannot_be_allowed(name: str) -> None:
    with pytest.raises(SettingsError, match="no name of a package"), allowing([name]):
        pass


@pytest.mark.parametrize("part", ["operation", "model", "metric"])
def test_a_model_folder_runs_no_code(model: Path, tmp_path: Path, trap: str, part: str) -> None:
    (member,) = json.loads((model / "architecture.json").read_bytes())["members"]
    pooling = member["architecture"]["choices"]["pooling"][0]
    file, old, new = {
        "operation": ("architecture.json", json.dumps(pooling), json.dumps(f"{trap}:X")),
        "model": ("architecture.json", '"model": "automtl"', f'"model": "{trap}:X"'),
        "metric": ("schema.yaml", "- name: click\n", f"- name: click\n  metrics: ['{trap}:X']\n"),
    }[part]
    folder = bent(model, tmp_path / "bent", file, old, new)
    with pytest.raises(FileError, match=f"--allow {trap}"):
        Predictor.load(folder)
    assert trap not in sys.modules
    with pytest.raises(AutomtlError, match="a folder ran code"):
        Predictor.load(folder, allow=[trap])
