"""Saved models: whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml

import automtl
from automtl.config import Settings
from automtl.ensemble.ensemble import Ensemble
from automtl.ensemble.spec import ModelSpec
from automtl.errors import FileError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.system.hardware import has_bf16
from automtl.system.manifest import MODEL as MODEL_FOLDER
from automtl.system.manifest import checksums
from automtl.training.fit import SelfTrained
from tests.conftest import TINY


@pytest.fixture(scope="module")
def predictor(log: pl.DataFrame, tiny: Settings) -> Predictor:
    return fit_table(log, ["click"], roles=ColumnRoles(drop=("like", "buy", "cart")), settings=tiny).predictor


def test_a_loaded_model_predicts_the_same(predictor: Predictor, log: pl.DataFrame, tmp_path: Path) -> None:
    predictor.save(tmp_path / "model")
    assert Predictor.load(tmp_path / "model").predict(log).equals(predictor.predict(log))


def test_one_row_and_many_rows_are_scored_alike(predictor: Predictor, log: pl.DataFrame) -> None:
    whole = predictor.predict(log.head(20))["click"]
    alone = pl.concat([predictor.predict(log[index : index + 1]) for index in range(20)])["click"]
    assert (whole - alone).abs().max() < 1e-5  # type: ignore[operator]


def test_rows_of_python_values_are_scored_as_a_table_is(predictor: Predictor, log: pl.DataFrame) -> None:
    rows = log.head(20).to_dicts()
    found, expected = predictor.predict_rows(rows), predictor.predict(rows)
    assert list(found) == expected.columns
    assert all((found[name] == expected[name].to_numpy()).all() for name in found)


def test_single_rows_have_the_scores_of_a_table_of_one_row_once_the_model_is_warm(
    predictor: Predictor, log: pl.DataFrame
) -> None:
    predictor.warm_up()
    for row in log.head(20).to_dicts():
        found, expected = predictor.predict_rows([row]), predictor.predict([row])
        assert all(found[name].tobytes() == expected[name].to_numpy().tobytes() for name in expected.columns)


def test_products_in_16_bits_move_scores_a_little_and_only_where_asked(predictor: Predictor, log: pl.DataFrame) -> None:
    assert isinstance(predictor.network, Ensemble)
    members = zip(predictor.spec.members, predictor.network.members, strict=True)
    spec, model = next(one for one in members if not isinstance(one[1], SelfTrained))  # without the others beside it
    network = replace(predictor, spec=ModelSpec((spec,)), encoder=spec.encoder(predictor.encoder), network=model)
    whole = network.predict(log)["click"]
    moved = (replace(network, precision="auto").predict(log)["click"] - whole).abs().max()
    assert (moved > 0) == has_bf16(torch.device("cpu"))  # type: ignore[operator]
    assert moved < 0.02  # type: ignore[operator]
    assert network.predict(log)["click"].equals(whole)


def test_a_precision_that_there_is_not_is_refused(predictor: Predictor) -> None:
    with pytest.raises(SettingsError, match="'half' is unknown; there are 'full' and 'auto'"):
        replace(predictor, precision="half")


def test_a_failing_disk_leaves_the_earlier_model_whole(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    predictor.save(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    calls = iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left on device"):
        predictor.save(folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_folders_that_hold_no_model_are_never_overwritten(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileError, match="holds no saved model"):
        predictor.save(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("stop", "moment"), [(signal.SIGKILL, 0.0), (signal.SIGKILL, 0.8), (signal.SIGINT, 0.4), (signal.SIGINT, 1.2)]
)
def test_a_stopped_fit_leaves_the_earlier_model_or_a_whole_new_one(
    stop: signal.Signals, moment: float, predictor: Predictor, log_file: Path, tmp_path: Path
) -> None:
    """Whenever the kill or Ctrl-C falls, what is there loads and is complete; Ctrl-C leaves nothing beside it."""
    folder, config = tmp_path / "model", tmp_path / "tiny.yaml"
    predictor.save(folder)
    config.write_text(yaml.safe_dump(TINY))
    command = [sys.executable, "-m", "automtl", "fit", str(log_file), "--task", "click", "--drop", "like"]
    process = subprocess.Popen(
        [*command, "--drop", "buy", "--drop", "cart", "--config", str(config), "--out", str(folder), "--overwrite"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not _imported(process.pid):
        time.sleep(0.05)
    time.sleep(moment)
    process.send_signal(stop)
    process.wait()
    assert Predictor.load(folder).schema.task_names == ("click",)
    if stop is signal.SIGINT:
        assert {path.name for path in tmp_path.iterdir()} == {"model", "tiny.yaml"}


MODEL = """
from torch import nn

from automtl.models.baselines.shared_bottom import SharedBottom


class TwoBottoms(nn.Module):
    def __init__(self, layout, settings, generator):
        super().__init__()
        self.bottoms = nn.ModuleList(SharedBottom(layout, settings, generator) for _ in range(2))

    def forward(self, features):
        return self.bottoms[0](features) + self.bottoms[1](features)
"""


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A model of somebody else, by its import path."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "somebodys_models.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path / "code")
    yield "somebodys_models:TwoBottoms"
    sys.modules.pop("somebodys_models", None)


def test_a_model_of_ones_own_is_saved_by_its_import_path_and_found_in_a_new_process(
    own_model: str, log: pl.DataFrame, log_file: Path, tiny: Settings, tmp_path: Path
) -> None:
    settings, roles = replace(tiny, model=own_model, reference=own_model), ColumnRoles(drop=("like", "buy", "cart"))
    run = fit_table(log, ["click"], roles=roles, settings=settings, out=tmp_path / "run")
    allow = ["--allow", "somebodys_models"]
    command = [
        sys.executable,
        "-m",
        "automtl",
        "predict",
        str(tmp_path / "run"),
        str(log_file),
        *allow,
        "--overwrite",
        "--out",
    ]

    def predict(**changes: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | changes
        return subprocess.run(
            [*command, str(tmp_path / "scores.parquet")], env=environment, capture_output=True, text=True, check=False
        )

    source = str(Path(automtl.__file__).parents[1])
    found = predict(PYTHONPATH=os.pathsep.join([source, str(tmp_path / "code")]))
    assert found.returncode == 0, found.stderr
    assert pl.read_parquet(tmp_path / "scores.parquet").equals(run.predictor.predict(log))
    lost = predict(PYTHONPATH=source)
    assert lost.returncode == 2 and "Traceback" not in lost.stderr
    message = " ".join(lost.stderr.split())
    assert "saved model" in message and "model 'somebodys_models:TwoBottoms' cannot be imported" in message
    assert "install the package, or put its folder on PYTHONPATH" in message


def test_a_model_whose_code_has_changed_says_so(
    own_model: str, log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    settings, roles = replace(tiny, model=own_model, presets=()), ColumnRoles(drop=("like", "buy", "cart"))
    fit_table(log, ["click"], roles=roles, settings=settings, out=tmp_path / "run")
    sys.modules.pop("somebodys_models")
    (tmp_path / "code" / "somebodys_models.py").write_text(MODEL.replace("range(2)", "range(3)"))
    with pytest.raises(FileError, match=r"run' cannot be loaded: weights.safetensors does not fit.*has the code of"):
        Predictor.load(tmp_path / "run", allow=["somebodys_models"])


def test_what_is_no_model_is_told_before_anything_is_trained(log: pl.DataFrame, tiny: Settings) -> None:
    for name, message in {
        "torch.nn:Linear": "cannot be made.*Layout, NetworkSettings and a torch.Generator",
        "torch.nn:Identity": r"logits of shape \(2, 1\): rows, tasks; found AttributeError",
        "torch.nn:functional": "is not a subclass of torch.nn.Module",
        "nowhere.models:Mine": "model 'nowhere.models:Mine' cannot be imported: No module named 'nowhere'; install",
        "mmoee": "model 'mmoee' is unknown; did you mean 'mmoe'",
    }.items():
        with pytest.raises(SettingsError, match=message):
            fit_table(log, ["click"], settings=replace(tiny, model=name, presets=()))


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("encoder.json", "{}", "encoder.json does not fit .*KeyError.*written by automtl .*fit again"),
        ("architecture.json", '{"model": "mmoe"}', "architecture.json does not fit"),
        ("schema.yaml", "tasks: []", "cannot be loaded: "),
        ("weights.safetensors", "nothing", "weights.safetensors does not fit"),
    ],
)
def test_a_part_that_another_version_wrote_is_named(
    predictor: Predictor, tmp_path: Path, part: str, content: str, message: str
) -> None:
    folder = tmp_path / "model"
    predictor.save(folder)
    (folder / part).write_text(content)
    names = [path.name for path in folder.iterdir() if path.name != "manifest.json"]
    (folder / "manifest.json").unlink()
    MODEL_FOLDER.write(folder, {}, checksums(folder, names))
    with pytest.raises(FileError, match=message):
        Predictor.load(folder)


def _imported(pid: int) -> bool:
    """Whether the process has loaded torch, so that its work is about to begin."""
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return True
