"""A model is trained again on new rows, and takes the place of the present one only where it is not worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import FileError, SchemaError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.refit import REFUSALS, refit_model
from automtl.experiment.update import update_model
from automtl.predictor import Predictor
from automtl.system.manifest import MODEL, checksums
from automtl.system.progress import Notice, Progress
from automtl.tables.history import SequenceHistory
from automtl.tables.schema import Schema
from tests.experiment.test_history_selection import moody_log, moody_schema
from tests.experiment.test_task_kinds import SCHEMA
from tests.experiment.test_update import contents
from tests.test_cli import call
from tests.test_features_page import log as mixed_log

QUICK: dict[str, Any] = {
    "model": "mmoe", "ensemble": True, "report": False, "presets": [], "trees": {"rounds": 15, "learning_rate": 0.2},
    "training": {"epochs": 3, "batch_size": 256, "learning_rate": 0.01},
    "network": {"embedding_size": 8, "width": 16, "towers": [8]}, "selection": {"boosted_trees": "one"},
}  # fmt: skip
ALONE = QUICK | {"ensemble": False}
TIMED = QUICK | {"ensemble": False, "encoder": {"prune_histories": False}}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """Rows of a quantity that labels depend on, as they did before."""
    return shifted(0, 1500)


def shifted(seed: int, rows: int, sign: float = 1.0) -> pl.DataFrame:
    """Make a log whose labels depend on the item and the level by this sign."""
    rng = np.random.default_rng(seed)
    item, level = rng.integers(0, 20, rows), rng.normal(size=rows)
    score = sign * (1.2 * level + np.where(item % 2, 0.8, -0.8))
    labels = {name: (rng.random(rows) < 1 / (1 + np.exp(-score - place))) * 1 for place, name in enumerate("ab")}
    return pl.DataFrame({"item": item.astype(str), "level": level, **labels})


@pytest.fixture(scope="module")
def model(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "present"
    fit_table(log, ["a", "b"], settings=make_settings(ALONE), out=folder)
    return folder


@pytest.fixture(scope="module")
def ensemble(log: pl.DataFrame, model: Path) -> Path:
    folder = model.with_name("ensemble")
    run = fit_table(log, ["a", "b"], settings=make_settings(QUICK | {"report": True}), out=folder)
    assert len(run.predictor.spec.members) > 1
    return folder


def test_a_warm_refit_on_the_same_rows_is_not_worse(log: pl.DataFrame, ensemble: Path, tmp_path: Path) -> None:
    before = contents(ensemble)
    found = refit_model(ensemble, log, warm=True, if_better=True, out=tmp_path / "same")
    assert found.taken and found.folder == tmp_path / "same"
    gain = found.acceptance.values["mtl_loss"]["gain"]
    assert gain["low"] <= gain["mean"] <= gain["high"] and abs(gain["mean"]) < 0.02
    assert contents(ensemble) == before
    assert Predictor.load(tmp_path / "same").predict(log[:5]).shape == (5, 2)
    assert (tmp_path / "same" / "report.html").is_file()


def test_where_the_world_has_changed_the_refit_wins_and_is_written_down(model: Path, tmp_path: Path) -> None:
    found = refit_model(model, shifted(1, 1500, sign=-1.0), if_better=True, out=tmp_path / "new")
    values = found.acceptance.values
    assert found.taken and values["mtl_loss"]["gain"]["low"] > 0
    for task in "ab":
        metric = values["tasks"][task]["metric"]
        assert metric["present"] < 0.5 < 0.7 < metric["refit"]
    history = json.loads((tmp_path / "new" / "history.json").read_text())
    assert history["refit"]["from"] == str(model) and history["refit"]["number"] == 1
    assert json.loads((tmp_path / "new" / "metrics.json").read_text())["refit"]["accepted"] is True
    again = refit_model(tmp_path / "new", shifted(2, 1000, sign=-1.0), warm=True)
    assert again.folder == tmp_path / "new" and again.run.history["refit"]["number"] == 2
    assert again.run.history["refit"]["before"]["from"] == str(model)


def test_spoiled_labels_are_not_taken(model: Path, tmp_path: Path) -> None:
    """Labels of the newest rows are spoiled, too, so that what has learned nothing has the smaller loss on them."""
    rng = np.random.default_rng(0)
    table = shifted(3, 2500)
    spoiled = table.with_columns(pl.Series(name, rng.permutation(table[name].to_numpy())) for name in "ab")
    found = refit_model(model, spoiled, warm=True, if_better=True, out=tmp_path / "new")
    assert not found.taken and not (tmp_path / "new").exists()
    assert any("learned nothing" in reason for reason in found.acceptance.reasons)


def test_one_spoiled_task_is_named(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = shifted(3, 2500)
    spoiled = table.with_columns(pl.Series("b", rng.permutation(table["b"].to_numpy())))
    (model / REFUSALS).unlink(missing_ok=True)
    (model / REFUSALS).mkdir()  # so that it cannot be written
    events: list[object] = []
    found = refit_model(model, spoiled, if_better=True, out=tmp_path / "new", callback=events.append)
    (model / REFUSALS).rmdir()
    assert any(isinstance(one, Notice) and "not written down" in one.text for one in events)
    assert not found.taken and any("little of task 'b'" in reason for reason in found.acceptance.reasons)


def test_the_command_keeps_the_present_model_with_a_code_of_its_own(
    log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "new.parquet"
    half = len(log) * 3 // 4  # labels of the older rows are turned: the split is by the seed, not by place
    turned = log.with_columns(split=pl.Series(["train"] * half + ["test"] * (len(log) - half)))
    turned.with_columns(
        pl.when(pl.col("split") == "train").then(1 - pl.col(name)).otherwise(pl.col(name)).alias(name) for name in "ab"
    ).write_parquet(table)
    fit_table(turned, ["a", "b"], roles=ColumnRoles(split="split"), settings=make_settings(TIMED), out=tmp_path / "own")
    before = contents(tmp_path / "own")
    assert call("refit", tmp_path / "own", table, "--if-better") == 3
    said = capsys.readouterr()
    assert "the present model stays" in said.out and "worse, beyond noise" in said.err and "MTL-Loss" in said.out
    assert {name: one for name, one in contents(tmp_path / "own").items() if name != REFUSALS} == before
    (refused,) = json.loads((tmp_path / "own" / REFUSALS).read_text())
    assert refused["taken"] is False and refused["comparison"]["reasons"]
    assert call("refit", tmp_path / "own", table) == 0
    history = json.loads((tmp_path / "own" / "history.json").read_text())
    assert history["refit"]["refused"] == [refused] and not (tmp_path / "own" / REFUSALS).exists()


def copied(model: Path, folder: Path) -> None:
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def test_a_warm_refit_adds_new_ids_and_keeps_known_ones(log: pl.DataFrame, model: Path, tmp_path: Path) -> None:
    newer = shifted(4, 1000).with_columns(("new" + pl.col("item")).alias("item"))
    known = set(Predictor.load(model).encoder.vocabularies["item"].values.cast(pl.String))
    runs = (refit_model(model, newer, warm=warm, out=tmp_path / str(warm)).run for warm in (True, False))
    warm, cold = (set(run.predictor.encoder.vocabularies["item"].values) for run in runs)
    assert warm == known | set(newer["item"]) and cold == set(newer["item"])
    both = pl.concat([log[:50], newer[:50]])
    assert np.isfinite(Predictor.load(tmp_path / "True").predict(both).to_numpy()).all()


def test_histories_go_on_from_the_state_and_later_rows_are_scored_as_by_a_replay(tmp_path: Path) -> None:
    log = moody_log(3000)
    schema = moody_schema(SequenceHistory("user", ("item",), 5))
    fit_table(log[:1200], schema=schema, settings=make_settings(TIMED), out=tmp_path / "present")
    found = refit_model(tmp_path / "present", log[1200:2600], warm=True, out=tmp_path / "new")
    assert found.run.history["refit"]["continued"] and found.run.history["refit"]["period"] == ["72000", "155940"]
    new = Predictor.load(tmp_path / "new")
    assert new.predict(log[2600:]).equals(new.predict(log[2600:], history=log))
    update_model(tmp_path / "present", log[1200:2320])  # the present model knew the events before the newest rows
    metrics = Predictor.load(tmp_path / "present").evaluate(log[2320:2600])["tasks"]["click"]
    assert metrics["auc"] == pytest.approx(found.acceptance.values["tasks"]["click"]["metric"]["present"], abs=1e-6)


def test_an_overlapping_log_is_replayed(tmp_path: Path) -> None:
    log = moody_log(2000)
    fit_table(log[:1200], schema=moody_schema(), settings=make_settings(TIMED), out=tmp_path / "present")
    found = refit_model(tmp_path / "present", log, out=tmp_path / "new")
    assert not found.run.history["refit"]["continued"]
    present = Predictor.load(tmp_path / "present").encode(log[1600:], log)
    scores = Predictor.load(tmp_path / "present").evaluate_batch(present)["tasks"]["click"]["auc"]
    assert scores == pytest.approx(found.acceptance.values["tasks"]["click"]["metric"]["present"], abs=1e-6)


def test_lists_funnels_and_quantities_are_trained_again(tmp_path: Path) -> None:
    table = mixed_log().with_columns(tags=pl.lit([["a", "b"]]).list.first())
    fields = [*SCHEMA["fields"], {"name": "tags", "kind": "multi"}]
    schema = Schema.from_dict({**SCHEMA, "fields": fields})
    settings = make_settings({**QUICK, "ensemble": False})
    fit_table(table, schema=schema, settings=settings, out=tmp_path / "present")
    found = refit_model(tmp_path / "present", table, warm=True)
    assert set(found.acceptance.values["tasks"]) == {task["name"] for task in SCHEMA["tasks"]}
    assert "funnel" in Predictor.load(tmp_path / "present").evaluate(table[:200])


def test_an_end_in_the_middle_leaves_the_present_model(log: pl.DataFrame, model: Path) -> None:
    def interrupt(event: object) -> None:
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    before = contents(model)
    with pytest.raises(KeyboardInterrupt):
        refit_model(model, log, callback=interrupt)
    assert contents(model) == before and not list(model.parent.glob(".*.part"))


def test_a_model_that_changed_meanwhile_is_not_replaced(log: pl.DataFrame, model: Path, tmp_path: Path) -> None:
    copied(model, tmp_path / "model")

    def change(event: object) -> None:
        path = tmp_path / "model" / "manifest.json"
        path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(FileError, match="changed while it was refitted"):
        refit_model(tmp_path / "model", log, callback=change)


def test_settings_of_the_folder_import_nothing_that_is_not_allowed(
    log: pl.DataFrame, ensemble: Path, tmp_path: Path
) -> None:
    copied(ensemble, tmp_path / "model")
    path = tmp_path / "model" / "history.json"
    history = json.loads(path.read_text())
    for row in history["leaderboard"]:
        row["settings"] = {"balancing": "antigravity:Mine"}
    path.write_text(json.dumps(history))
    MODEL.write(tmp_path / "model", {}, checksums(tmp_path / "model", contents(ensemble).keys() - {"manifest.json"}))
    with pytest.raises(SettingsError, match="--allow antigravity"):
        refit_model(tmp_path / "model", log)


def test_mistakes_are_named(log: pl.DataFrame, model: Path, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="'level'"):
        refit_model(model, log.drop("level"))
    with pytest.raises(SchemaError, match="'b'"):
        refit_model(model, log.drop("b"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="not empty"):
        refit_model(model, log, out=tmp_path / "full")
    with pytest.raises(FileError, match="does not exist"):
        refit_model(tmp_path / "nothing", log)
