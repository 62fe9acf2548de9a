"""Trackers: what they write is read back by the tools' own readers; what fails is a warning."""

from __future__ import annotations

import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from automtl.config import Settings, make_settings
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, Run, fit_table
from automtl.system.progress import Event, Progress, ignore
from automtl.trackers import TRACKERS
from automtl.trackers.base import curves, numbers, parameters, tag
from tests.conftest import TINY
from tests.test_cli import call

pytest.importorskip("tensorboard")


def tracked(settings: Settings, folder: Path, *names: Any, uri: str | None = None) -> Settings:
    return replace(settings, trackers=names, tracker_folder=str(folder), tracking_uri=uri)


def run(log: pl.DataFrame, settings: Settings, callback: Any = ignore, **changes: Any) -> Run:
    settings = replace(settings, presets=(), **changes)
    return fit_table(
        log, ["click", "buy"], roles=ColumnRoles(drop=("like", "cart")), settings=settings, callback=callback
    )


def read_events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def test_tensorboard_reads_the_curves_metrics_settings_and_architecture(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    found = run(log, tracked(tiny, tmp_path, "tensorboard"))
    events = read_events(tmp_path / "tensorboard" / "automtl-0")
    checks = found.history["training"]["evaluations"]
    losses = events.Scalars("training automtl/loss")
    assert [event.step for event in losses] == [check["rows"] for check in checks]
    assert [event.value for event in losses] == pytest.approx([check["loss"] for check in checks])
    last = events.Scalars("training automtl/auc/click")[-1].value
    assert last == pytest.approx(checks[-1]["auc"]["click"])
    auc = found.metrics["test"]["tasks"]["buy"]["auc"]
    assert events.Scalars("final/test/tasks/buy/auc")[0].value == pytest.approx(auc)
    text = events.Tensors("architecture/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "E0: " in text
    assert '"max_steps": 6' in events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    run(log, tracked(tiny, tmp_path, "tensorboard"), model="mmoe")
    run(log, tracked(tiny, tmp_path, "tensorboard"), model="mmoe")
    assert {path.name for path in (tmp_path / "tensorboard").iterdir()} == {"automtl-0", "mmoe-0", "mmoe-0-2"}


def test_mlflow_reads_a_finished_run_and_no_network_is_used(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setattr(socket.socket, "connect", None)
    found = run(log, tracked(tiny, tmp_path / "a folder", "mlflow"))
    client = tracking.MlflowClient(tracking_uri=(tmp_path / "a folder" / "mlflow").as_uri())
    (record,) = client.search_runs([client.get_experiment_by_name("automtl").experiment_id])
    assert (record.info.status, record.info.run_name) == ("FINISHED", "automtl-0")
    assert record.data.params["search.max_steps"] == "6"
    assert record.data.params["space.expert_layers"].startswith('["skip"')
    assert record.data.metrics["final/test/mtl_loss"] == found.metrics["test"]["mtl_loss"]
    history = client.get_metric_history(record.info.run_id, "training automtl/loss")
    assert [entry.value for entry in history] == [check["loss"] for check in found.history["training"]["evaluations"]]
    assert [entry.path for entry in client.list_artifacts(record.info.run_id)] == ["architecture.txt"]


def test_a_run_that_is_interrupted_is_marked_in_mlflow(log: pl.DataFrame, tiny: Settings, tmp_path: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")

    def interrupt(event: Event) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(log, tracked(tiny, tmp_path, "mlflow"), interrupt, model="mmoe")
    client = tracking.MlflowClient(tracking_uri=(tmp_path / "mlflow").as_uri())
    (record,) = client.search_runs([client.get_experiment_by_name("automtl").experiment_id])
    assert record.info.status == "FAILED"


def test_a_tracker_that_fails_midway_is_a_warning_and_the_fit_goes_on(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow.tracking")
    plain = run(log, tiny, model="mmoe")

    def lose_the_files(progress: Progress) -> None:
        shutil.rmtree(tmp_path / "mlflow", ignore_errors=True)

    with pytest.warns(UserWarning, match="tracker 'mlflow' stopped: .*; the fit goes on without it") as warned:
        found = run(log, tracked(tiny, tmp_path, "mlflow", "tensorboard"), lose_the_files, model="mmoe")
    assert len(warned) == 1
    assert found.metrics["test"] == plain.metrics["test"]
    losses = read_events(tmp_path / "tensorboard" / "mmoe-0").Scalars("training mmoe/loss")
    assert len(losses) == len(found.history["training"]["evaluations"])  # the other tracker went on


@pytest.mark.parametrize("name", TRACKERS)
def test_a_folder_that_cannot_be_made_is_a_warning(
    name: str, log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    pytest.importorskip(name)
    (tmp_path / "file").write_text("x")
    with pytest.warns(UserWarning, match=f"tracker '{name}' stopped"):
        assert run(log, tracked(tiny, tmp_path / "file", name), model="mmoe").metrics["test"]


def test_a_server_that_does_not_answer_is_a_warning(log: pl.DataFrame, tiny: Settings, tmp_path: Path) -> None:
    pytest.importorskip("mlflow.tracking")
    with pytest.warns(UserWarning, match="tracker 'mlflow' stopped: .*127.0.0.1"):
        assert run(log, tracked(tiny, tmp_path, "mlflow", uri="http://127.0.0.1:9"), model="mmoe").metrics["test"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_extra_is_named_before_any_work(
    name: str, log: pl.DataFrame, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"automtl.trackers.{name}", None)
    with pytest.raises(SettingsError, match=rf"tracker '{name}'.*pip install 'automtl\[{name}\]'"):
        run(log, tracked(tiny, tmp_path, name))


def test_the_command_line_tracks_and_names_what_is_unknown(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(str({**TINY, "model": "mmoe", "presets": []}))
    common = ["fit", log_file, "--task", "click", "--config", tmp_path / "s.yaml", "--out", tmp_path / "run"]
    assert call(*common, "--tracker", "wandb") == 2
    assert "tracker 'wandb' is unknown; known: tensorboard, mlflow, or \"package" in capsys.readouterr().err
    assert call(*common, "--tracker", "tensorboard", "--tracker-folder", tmp_path / "tracking") == 0
    assert f"tracked: {tmp_path / 'tracking'}" in capsys.readouterr().out
    assert read_events(tmp_path / "tracking" / "tensorboard" / "run").Scalars("final/parameters")
    assert make_settings({"trackers": ["mlflow", "tensorboard"]}).trackers == ("mlflow", "tensorboard")


THEIRS = """
from automtl.trackers import Tracker

class Lines(Tracker):
    def __init__(self, run):
        run.folder.mkdir(parents=True)
        self.file = (run.folder / "lines.txt").open("w")
    def progress(self, progress):
        print(progress.stage, file=self.file)
    def finish(self, metrics, architecture):
        print("finished", file=self.file)
    def close(self, complete):
        self.file.close()
"""


def test_a_tracker_of_a_users_module_is_used_by_its_import_path(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_tracker.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    run(log, tracked(tiny, tmp_path / "tracking", "their_tracker:Lines"), model="mmoe")
    lines = (tmp_path / "tracking" / "lines.txt").read_text().splitlines()
    assert "training mmoe" in lines and lines[-1] == "finished"


def test_values_become_tags_and_texts() -> None:
    assert (
        tag("choosing inputs: all inputs, strong decay/auc/is_click")
        == "choosing inputs all inputs strong decay/auc/is_click"
    )
    assert curves(Progress("search", 3, 9)) == {}
    assert curves(Progress("search", 3, 9, 0.5, {"buy": 0.7})) == {"search/loss": 0.5, "search/auc/buy": 0.7}
    odd = {"*": 0.1, "^buy$": 0.2, "buy": 0.3, "..": 0.4, "n" * 300: 0.5}
    names = ["_", "buy", "buy 2", "_ 2", "n" * 60]
    assert list(curves(Progress("search", 3, 9, 0.5, odd)))[1:] == [f"search/auc/{name}" for name in names]
    metrics = {"test": {"buy": {"auc": {"undefined": "one class"}, "rows": 3}}, "preset": "all inputs"}
    assert numbers(metrics, "final") == {"final/test/buy/rows": 3.0}
    assert parameters({"a": {"b": (1, "x"), "c": None}, "d": "e"}) == {"a.b": '[1, "x"]', "a.c": "null", "d": "e"}
