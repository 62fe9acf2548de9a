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
import yaml

import automtl
from automtl.config import Settings
from automtl.errors import FileError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.system.manifest import MODEL as MODEL_FOLDER
from automtl.system.manifest import checksums
from tests.conftest import TINY


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
