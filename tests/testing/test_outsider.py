"""A package outside the repository: one member of each kind, by its laws, from the command line, saved and loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automtl.tables.schema import Schema
from tests.test_cli import call

PACKAGE = Path(__file__).parents[2] / "examples" / "my_package"
SETTINGS = """
ensemble: false
presets: []
strategy: my_package.strategy:Cheapest
search: {draws: 3}
space: {experts: 2, layers: 1, keep: 1, expert_layers: ["my_package.operation:GatedMLP-8"]}
network: {embedding_size: 4, width: 8, towers: [8]}
training: {epochs: 1, batch_size: 256}
"""
ALLOWED = ("--allow", "my_package")
LAWS = """
from pathlib import Path
from automtl.operations import operation
from automtl.testing import DATASET_LAWS, METRIC_LAWS, MODEL_LAWS, OPERATION_LAWS, STRATEGY_LAWS
from my_package.dataset import SHOP
from my_package.metric import top_decile_lift
from my_package.model import TwoBottoms
from my_package.operation import GatedMLP
from my_package.strategy import Cheapest
for laws, members in (
    (OPERATION_LAWS, [(GatedMLP(8),), (operation("my_package.operation:GatedMLP-3"),)]), (MODEL_LAWS, [(TwoBottoms,)]),
    (STRATEGY_LAWS, [(Cheapest,)]), (METRIC_LAWS, [(top_decile_lift,)]), (DATASET_LAWS, [(SHOP, Path("raw"))]),
):
    for law in laws:
        for member in members:
            law(*member)
print("kept")
"""


class Outside:
    """A folder with the package, a log and raw files, in which commands are run as a user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(PACKAGE, folder / "packages" / "my_package", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "settings.yaml").write_text(SETTINGS)
        (folder / "raw").mkdir()
        events = [
            f"{user},{item},{'buy' if (user * item) % 5 == 1 else 'view'}" for user in range(40) for item in range(30)
        ]
        (folder / "raw" / "events.csv").write_text("\n".join(["user,item,event", *events]) + "\n")

    def python(self, *arguments: str, packages: bool = True, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run python here, with the package on its path or not."""
        path = [*([str(self.folder / "packages")] if packages else []), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
        found = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert found.returncode == code, found.stderr[-2000:]
        return found

    def automtl(self, *arguments: str, packages: bool = True, code: int = 0) -> str:
        """Run the command line tool here; what it said on standard error."""
        return self.python("-m", "automtl", *arguments, packages=packages, code=code).stderr


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return Outside(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def schema(outside: Outside) -> str:
    """A schema in which a task names the outsider's metric."""
    log, path = outside.folder / "log.parquet", outside.folder / "schema.yaml"
    assert call("synthesize", "--rows", 1500, "--out", log) == 0
    assert call("describe", log, "--task", "click", "--task", "buy", "--out", path) == 0
    path.write_text(
        path.read_text().replace(
            "- name: click\n", "- name: click\n  metrics: [auc, my_package.metric:top_decile_lift]\n"
        )
    )
    return path.name


@pytest.fixture
def inside(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has the package and is in its folder; it did not fit what it loads."""
    monkeypatch.chdir(outside.folder)
    monkeypatch.syspath_prepend(outside.folder / "packages")
    yield
    for name in [one for one in sys.modules if one.split(".")[0] == "my_package"]:
        del sys.modules[name]


def test_each_member_keeps_the_laws(outside: Outside) -> None:
    assert outside.python("-c", LAWS).stdout.strip() == "kept"


def test_operation_strategy_and_metric_are_fitted_saved_and_loaded_in_a_new_process(
    outside: Outside, schema: str, inside: None, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.automtl("fit", "log.parquet", "--schema", schema, "--config", "settings.yaml", "--out", "searched")
    folder = outside.folder / "searched"
    assert "my_package.operation:GatedMLP-8" in (folder / "architecture.json").read_text()
    assert json.loads((folder / "settings.json").read_text())["strategy"] == "my_package.strategy:Cheapest"
    assert len(json.loads((folder / "history.json").read_text())["search"]["parameters"]) == 3
    click = json.loads((folder / "metrics.json").read_text())["test"]["tasks"]["click"]
    assert {"auc", "top_decile_lift"} <= set(click)
    assert call("evaluate", "searched", "log.parquet", *ALLOWED) == 0
    said = capsys.readouterr().out
    outside.automtl("predict", "searched", "log.parquet", "--out", "scores.parquet", *ALLOWED)
    log, scores = (pl.read_parquet(outside.folder / name) for name in ("log.parquet", "scores.parquet"))
    labels = log["click"].to_numpy()[np.argsort(-scores["click"].to_numpy())]
    assert f"{labels[:150].mean() / labels.mean():.4f}" in said


def test_a_model_is_fitted_saved_and_loaded_in_a_new_process(
    outside: Outside, schema: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "my_package.model:TwoBottoms"
    outside.automtl(
        "fit", "log.parquet", "--schema", schema, "--model", model, "--config", "settings.yaml", "--out", "modelled"
    )
    (member,) = json.loads((outside.folder / "modelled" / "architecture.json").read_text())["members"]
    assert member["model"] == model
    outside.automtl("predict", "modelled", "log.parquet", "--out", "scores.csv", *ALLOWED)
    monkeypatch.chdir(outside.folder)  # without the package
    capsys.readouterr()
    for allowed, remedies in ((ALLOWED, ("my_package.m", "PYTHONPATH")), ((), ("--allow my_package",))):
        assert call("predict", "modelled", "log.parquet", "--out", "none.csv", *allowed) == 2
        said = capsys.readouterr().err
        assert all(remedy in said for remedy in remedies) and len(said.strip().splitlines()) == 1
    assert not (outside.folder / "none.csv").exists()


def test_a_dataset_is_made_into_a_table(outside: Outside, inside: None) -> None:
    assert call("data", "prepare", "my_package.dataset:SHOP", "raw", "--out", "shop.parquet") == 0
    table = pl.read_parquet(outside.folder / "shop.parquet")
    assert table.height == 40 * 30
    assert Schema.read(outside.folder / "shop.schema.yaml").task_names == ("bought",)
