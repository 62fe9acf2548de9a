"""A whole comparison: killed, gone on with, the same as one that was left alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from automtl.comparison.compare import (
    PAPER,
    STRONG,
    ComparisonSettings,
    _complete,
    compare_table,
    resolve_models,
)
from automtl.comparison.result_store import ResultStore
from automtl.config import make_settings
from automtl.errors import ComparisonError, SettingsError
from automtl.experiment import ColumnRoles
from automtl.tables.synthetic import synthetic_log
from tests.conftest import TINY
from tests.test_cli import call

SETTINGS: dict[str, Any] = {
    **{name: TINY[name] for name in ("space", "network", "trees")}, "presets": [{"name": "plain"}],
    "training": {"epochs": 1, "batch_size": 256}, "search": {"trainings": 2}, "selection": {"boosted_trees": "one"},
}  # fmt: skip
OPTIONS = ["--models", "automtl,esmm,mmoe", "--seeds", "2", "--trials", "1", "--jobs", "1", "--group", "user_id"]


def command(log_file: Path, folder: Path) -> list[str]:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(SETTINGS))
    columns = ["--task", "click", "--task", "price", "--drop", "like", "--drop", "buy", "--drop", "cart"]
    python = [sys.executable, "-m", "automtl", "compare", str(log_file)]
    return [*python, *columns, *OPTIONS, "--config", str(folder / "tiny.yaml"), "--out", str(folder / "out")]


def test_a_killed_comparison_goes_on_and_repeats_nothing(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "out" / "results"
    with subprocess.Popen(command(log_file, tmp_path), stderr=subprocess.DEVNULL) as process:
        while len(list(results.glob("t*.json"))) < 1:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        assert call(*command(log_file, tmp_path)[3:]) == 2
        assert f"another process works in '{tmp_path / 'out'}'; wait" in capsys.readouterr().err
        process.send_signal(signal.SIGKILL)
    kept = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert call(*command(log_file, tmp_path)[3:]) == 1  # ESMM serves no regression task
    done = capsys.readouterr()
    assert "esmm failed: " in done.err
    assert done.err.count("warning: 'item_id' alone ranks 'price'") == 1
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert max(len(line) for line in done.out.splitlines() if not line.startswith("automtl")) <= 100
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    _check(found)
    alone = compare_table(
        log_file, ["click", "price"], models=["automtl", "esmm", "mmoe"], out=tmp_path / "alone",
        settings=ComparisonSettings(
            ColumnRoles(("like", "buy", "cart"), group="user_id"),
            settings=make_settings(SETTINGS), seeds=2, trials=1, jobs=1,
        ),
    )  # fmt: skip
    assert _timeless(found) == _timeless(json.loads(json.dumps(alone)))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(os.listdir(tmp_path / "alone"))


def _check(found: dict[str, Any]) -> None:
    assert (found["format"], found["seeds"], found["trials"], found["reference"]) == (1, [0, 1], 1, "automtl")
    assert sum(found["table"]["rows"].values()) == 1500
    assert [(task["name"], task["kind"]) for task in found["tasks"]] == [("click", "binary"), ("price", "regression")]
    ours, esmm, mmoe = found["models"].values()
    assert esmm["seeds"] == [] and "regression" in esmm["failed"]
    assert ours["failed"] is None and mmoe["failed"] is None
    assert all(seed["architecture"] is None for seed in mmoe["seeds"])
    for seed in ours["seeds"]:  # that of the first searched network in the ensemble
        in_ensemble = [name for name in seed["ensemble"]["weights"]["click"] if name.startswith("automtl ")]
        assert (seed["architecture"] is None) == (not in_ensemble)
    assert all(len(gates) == 2 for seed in ours["seeds"] if (gates := seed["gates"]))
    assert ours["seeds"][0]["gates"] and mmoe["seeds"][0]["gates"] is None
    assert ours["tuning"]["trials"] == []  # it tunes itself
    assert len(mmoe["tuning"]["trials"]) == 1
    assert ("item_id", "warning") in [(finding["column"], finding["level"]) for finding in found["findings"]]
    for model in (ours, mmoe):
        aucs = [seed["test"]["tasks"]["click"]["auc"] for seed in model["seeds"]]
        assert model["summary"]["tasks"]["click"]["auc"]["mean"] == pytest.approx(sum(aucs) / 2)
        assert model["summary"]["tasks"]["click"]["gauc"]["n"] == 2
        assert all(seed["parameters"] > 0 and seed["flops_per_row"] > 0 for seed in model["seeds"])
    assert {one["rival"] for one in found["significance"].values()} == {"mmoe"}
    assert found["sentence"].startswith("automtl against the best rival of each of 2 tasks: ")


def _timeless(values: Any) -> Any:
    """Without day, times and memory."""
    if isinstance(values, dict):
        kept = {name: value for name, value in values.items() if name not in ("made", "seconds", "peak_memory_bytes")}
        return {name: _timeless(value) for name, value in kept.items()}
    return [_timeless(value) for value in values] if isinstance(values, list) else values


def test_a_comparison_runs_in_a_notebook_too_where_an_event_loop_runs_already() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    async def cell() -> int:
        return _complete(work())

    assert _complete(work()) == asyncio.run(cell()) == 3


def test_names_of_models_are_told_apart(tmp_path: Path) -> None:
    assert resolve_models(["paper", "mmoe"]) == PAPER
    assert set(PAPER) < set(resolve_models(["all"]))
    assert resolve_models(["strong"]) == STRONG
    with pytest.raises(SettingsError, match="'mmoo' is unknown; did you mean 'mmoe'"):
        resolve_models(["mmoo"])


def test_a_strong_rival_whose_library_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    assert resolve_models(["strong", "ple"]) == STRONG[:-1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": []}, "no model to compare"),
        ({"reference_model": "plee"}, "'plee' is not compared; did you mean 'ple'"),
        ({"settings": ComparisonSettings(seeds=[])}, "expected at least one"),
        ({"settings": ComparisonSettings(seeds=[1, 1])}, "each once"),
        ({"settings": ComparisonSettings(trials=0)}, "--trials 0: expected at least 1"),
        (
            {"settings": ComparisonSettings(settings=make_settings({"warm_start": True}))},
            "warm_start: a comparison keeps no supernet",
        ),
    ],
)
def test_mistakes_are_told_before_any_work(
    log_file: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"models": ["automtl", "ple"], "out": tmp_path / "out"}
    with pytest.raises((SettingsError, ComparisonError), match=message):
        compare_table(log_file, ["click"], **(given | changed))
    assert not (tmp_path / "out").exists()


def test_gauc_of_every_model_is_that_of_each_users_rows(tmp_path: Path) -> None:
    quick = make_settings({"presets": [], "training": {"epochs": 1}, "trees": {"rounds": 10}})
    roles = ColumnRoles(("like", "buy", "cart"), group="user_id")
    settings = ComparisonSettings(roles, settings=quick, seeds=1, trials=1, jobs=1)
    log = synthetic_log(2000, seed=0)
    found = compare_table(log, ["click"], models=["mmoe", "lightgbm"], settings=settings, out=tmp_path / "out")
    store = ResultStore(tmp_path / "out" / "results")
    labels, users = store.rows()["labels"][:, 0], store.rows()["group"]
    for path in store.folder.glob("test-*.json"):
        scores, total, count = store.scores(path.stem)[:, 0], 0.0, 0
        for user in np.unique(users):
            own = users == user
            if len(np.unique(labels[own])) == 2:
                total += own.sum() * roc_auc_score(labels[own], scores[own])
                count += own.sum()
        model = found["models"][json.loads(path.read_text())["candidate"]]
        assert model["seeds"][0]["test"]["tasks"]["click"]["gauc"] == pytest.approx(total / count)
