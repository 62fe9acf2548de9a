"""Drift is told where it is, and not where there is chance alone."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.cli.app import app
from automtl.config import make_settings
from automtl.errors import AutomtlError, FileError
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.serving.drift.compare import Comparison, held_out
from automtl.serving.drift.drift import drift
from automtl.serving.drift.settings import DriftSettings
from automtl.system.manifest import MODEL, checksums
from automtl.tables.synthetic import synthetic_log

QUICK = {"model": "mmoe", "report": False, "presets": [], "training": {"epochs": 3}}
FITTED = 6_000  # rows of the fit; the others of the same log come later


@pytest.fixture(scope="module")
def everything() -> pl.DataFrame:
    """One log, of which rows differ by chance alone."""
    table = synthetic_log(16_000, users=120, items=80, seed=3).drop("like", "cart")
    return table.with_columns(pl.when(pl.int_range(pl.len()) % 11 == 0).then(None).otherwise("price").alias("price"))


@pytest.fixture(scope="module")
def watched(everything: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift") / "model"
    fit_table(everything.head(FITTED), ["click", "buy"], settings=make_settings(QUICK), out=folder)
    return folder


def compared(predictor: Predictor, table: pl.DataFrame, **settings: Any) -> dict[str, Any]:
    assert predictor.profile is not None
    batch = predictor.encoder.encode(table)
    now = predictor.profile.counted(predictor.encoder, batch, predictor.scores(batch))
    assert batch.coverage is not None
    known = held_out(predictor.at_fit)
    return Comparison(now, predictor.profile, batch.coverage, known, DriftSettings(**settings)).to_dict()


@pytest.mark.parametrize("rows", [60, 1_000, 4_000])
def test_rows_of_the_same_log_do_not_drift(rows: int, watched: Path, everything: pl.DataFrame) -> None:
    """Not even where any change counts that is more than chance."""
    predictor, later = Predictor.load(watched), everything[FITTED:]
    for seed in range(600 // rows + 6):
        sample = later.sample(rows, seed=seed)
        assert compared(predictor, sample)["drift"] == []
        strict = compared(predictor, sample, psi=1e-9, labels=1e-9, calibration=1e-9, auc=0.0, missing=0.0, unknown=0.0)
        assert strict["drift"] == []


SHIFTS = {
    "price: stability index": pl.col("price") * 2,
    "device: 30": pl.when(pl.int_range(pl.len()) % 10 < 3).then(None).otherwise("device").alias("device"),
    "user_id: 50 % unknown": pl.col("user_id") + pl.when(pl.int_range(pl.len()) % 2 == 0).then(10**7).otherwise(0),
    "hour: stability index": pl.lit(3, pl.Int64).alias("hour"),
    "tags:length: stability index": pl.concat_list("tags", "tags", "tags").alias("tags"),
    "labels of click:": ((pl.col("click") == 1) | (pl.int_range(pl.len()) % 3 == 0)).cast(pl.Int8).alias("click"),
    "AUC of buy:": pl.col("buy").shuffle(seed=1),
    "calibration of click:": ((pl.col("click") == 1) & (pl.int_range(pl.len()) % 2 == 0)).cast(pl.Int8).alias("click"),
}


@pytest.mark.parametrize("reason", SHIFTS)
def test_a_planted_shift_is_told(reason: str, watched: Path, everything: pl.DataFrame) -> None:
    predictor = Predictor.load(watched)
    for seed in range(3):
        shifted = everything[FITTED:].sample(3_000, seed=seed).with_columns(SHIFTS[reason])
        assert any(told.startswith(reason) for told in compared(predictor, shifted)["drift"])


def test_the_stability_index_is_that_of_a_plain_computation(watched: Path, everything: pl.DataFrame) -> None:
    predictor, table = Predictor.load(watched), everything[FITTED:].sample(2_000, seed=0)
    found = {one["name"]: one for one in compared(predictor, table)["columns"]}
    own = predictor.encoder.encode(table)
    assert predictor.profile is not None
    ids = predictor.encoder.vocabularies["device"].values.to_list()
    column = next(one for one in predictor.profile.columns if one.name == "device")
    counts = Counter(table["device"])
    now, then = [counts[one] for one in ids], list(column.counts[2:])
    p, q = ([(count + 0.5) / (sum(some) + 0.5 * len(some)) for count in some] for some in (now, then))
    plain = sum((one - other) * math.log(one / other) for one, other in zip(p, q, strict=True))
    assert found["device"]["psi"] == pytest.approx(plain, rel=1e-12)
    assert found["device"]["now"][1:] == now and len(own) == table.height
    prices = table["price"].drop_nulls().to_numpy()
    edges = np.asarray(found["price"]["edges"])
    cut = np.histogram(prices, [-np.inf, *(edges + 1e-4), np.inf])[0]  # upper ends belong to their bucket
    assert found["price"]["now"][1:] == cut.tolist()


def test_labels_are_measured_as_evaluate_does(watched: Path, everything: pl.DataFrame, tmp_path: Path) -> None:
    table = everything[FITTED:].head(4_000)
    table.write_parquet(tmp_path / "in.parquet")
    found = drift(watched, str(tmp_path / "in.parquet"))
    metrics = Predictor.load(watched).evaluate(table)["tasks"]
    for task in found["tasks"]:
        own = metrics[task["name"]]
        assert task["labels"]["auc"]["now"] == pytest.approx(own["auc"], abs=2e-3)
        assert task["labels"]["log_loss"]["now"] == pytest.approx(own["log_loss"], rel=1e-5)
        assert task["labels"]["rate"]["now"] == table[task["name"]].mean()


def test_pieces_and_forms_of_a_table_change_nothing(
    watched: Path, everything: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = everything[FITTED:].head(3_000).with_columns(pl.format("['{}']", pl.col("tags").list.join("', '")))
    table.write_parquet(tmp_path / "in.parquet")
    table.write_csv(tmp_path / "in.csv")
    whole = drift(watched, str(tmp_path / "in.parquet"))
    monkeypatch.setattr("automtl.serving.drift.drift.ROWS", 700)
    for name in ("in.parquet", "in.csv"):
        pieces = drift(watched, str(tmp_path / name))
        assert pieces["columns"] == whole["columns"] and pieces["fields"] == whole["fields"]
        assert pieces["drift"] == whole["drift"] == []


def test_a_table_with_some_labels_or_none_is_compared(watched: Path, everything: pl.DataFrame, tmp_path: Path) -> None:
    for dropped, labelled in ((["click", "buy"], []), (["click"], ["buy"])):
        everything[FITTED:].drop(dropped).write_parquet(tmp_path / "in.parquet")
        found = drift(watched, str(tmp_path / "in.parquet"))
        assert found["labelled"] == labelled and found["drift"] == []
        assert [task["name"] for task in found["tasks"] if task["labels"]] == labelled


def test_ignored_columns_are_compared_but_are_no_drift(watched: Path, everything: pl.DataFrame, tmp_path: Path) -> None:
    everything[FITTED:].with_columns(pl.col("price") * 3).write_parquet(tmp_path / "in.parquet")
    source = str(tmp_path / "in.parquet")
    told = drift(watched, source)["drift"]
    assert any(reason.startswith("price") for reason in told)
    ignored = drift(watched, source, ignored=["price", "click", "buy"])
    assert ignored["drift"] == [] and ignored["ignored"] == ["buy", "click", "price"]
    assert next(one for one in ignored["columns"] if one["name"] == "price")["psi"] > 0.2
    with pytest.raises(AutomtlError, match="--ignore prize: there is no such column or task; did you mean 'price'"):
        drift(watched, source, ignored=["prize"])


def test_a_model_with_histories_is_watched(log: pl.DataFrame, tmp_path: Path) -> None:
    timed, roles = log.with_row_index("row"), ColumnRoles(drop=("like", "cart", "buy"), time="row")
    settings = make_settings(QUICK | {"encoder": {"prune_histories": False}})
    fit_table(timed.head(1_000), ["click"], roles=roles, settings=settings, out=tmp_path / "timed")
    timed[1_000:].write_parquet(tmp_path / "in.parquet")
    found = drift(tmp_path / "timed", str(tmp_path / "in.parquet"))
    assert found["rows"]["now"] == 500 and found["labelled"] == ["click"]
    want = Predictor.load(tmp_path / "timed").predict(timed[1_000:])["click"].mean()
    assert found["tasks"][0]["labels"]["mean_score"]["now"] == pytest.approx(want)


def test_the_command_tells_by_its_exit_code_and_writes_json_and_a_page(
    watched: Path, everything: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = everything[FITTED:]
    later.write_parquet(tmp_path / "same.parquet")
    later.with_columns(pl.col("price") * 3).write_parquet(tmp_path / "<b>.parquet")

    def call(*arguments: object) -> int:
        return app([str(one) for one in ("drift", *arguments)], standalone_mode=False) or 0

    assert call(watched, tmp_path / "same.parquet") == 0
    assert "no drift: 10,000 rows" in capsys.readouterr().out
    out = ("--json", tmp_path / "drift.json", "--html", tmp_path / "drift.html")
    assert call(watched, tmp_path / "<b>.parquet", *out) == 1
    assert "price: stability index" in capsys.readouterr().out
    assert any(reason.startswith("price") for reason in json.loads((tmp_path / "drift.json").read_text())["drift"])
    page = (tmp_path / "drift.html").read_text()
    assert "&lt;b&gt;.parquet" in page and "<b>.parquet" not in page and "stability index" in page
    with pytest.raises(AutomtlError, match="entry 'psi'"):
        call(watched, tmp_path / "same.parquet", "--psi", "0")


def test_a_profile_that_is_missing_or_damaged_is_told(watched: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(watched, folder)
    profile = json.loads((folder / "profile.json").read_text())

    def written(content: str | None) -> Path:
        (folder / "profile.json").unlink(missing_ok=True)
        if content is not None:
            (folder / "profile.json").write_text(content)
        names = [path.name for path in folder.iterdir() if path.name != "manifest.json"]
        MODEL.write(folder, {}, checksums(folder, names))
        return folder

    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "in.parquet")
    with pytest.raises(FileError, match="without the profile of its rows; fit again"):
        drift(written(None), str(tmp_path / "in.parquet"))
    damages: list[tuple[str, Any]] = [("counts", [1]), ("edges", [2, 1]), ("kind", "odd"), ("counts", [-1] * 30)]
    for name, value in damages:
        columns = [profile["columns"][0] | {name: value}, *profile["columns"][1:]]
        with pytest.raises(FileError, match="profile.json does not fit"):
            Predictor.load(written(json.dumps(profile | {"columns": columns})))
    with pytest.raises(FileError, match="profile.json does not fit.*other columns or tasks"):
        Predictor.load(written(json.dumps(profile | {"tasks": profile["tasks"][:1]})))
