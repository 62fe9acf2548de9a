"""Funnels, conditions, quantities and rare positives, from the schema to predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl import AutoMTL
from automtl.config import Settings
from automtl.errors import SchemaError
from automtl.experiment.fit import fit_table
from automtl.features.layout import Layout
from automtl.predictor import Predictor
from automtl.tables.schema import Schema
from tests.test_features_page import log

FIELDS: list[dict[str, Any]] = [{"name": "user_id", "kind": "categorical"}, {"name": "price", "kind": "numeric"}]
TASKS: list[dict[str, Any]] = [
    {"name": "conversion", "positive_weight": 2.0},
    {"name": "click", "negative_share": 0.5, "metrics": ["ndcg"]},
    {"name": "like", "condition": "click = 1"},
    {"name": "watch_seconds", "kind": "regression", "transform": "log1p", "clip": [0, 200]},
]
SCHEMA = {"fields": FIELDS, "tasks": TASKS, "funnel": ["click", "conversion"], "negative_share": 0.9}


@pytest.mark.parametrize("model", ["automtl", "esmm", "single-task"])
def test_every_kind_of_task_goes_through_fit_predict_and_evaluate(model: str, tiny: Settings, tmp_path: Path) -> None:
    schema, table = Schema.from_dict(SCHEMA), log()
    if model == "esmm":
        schema = replace(schema, tasks=schema.tasks[:2])
    run = fit_table(table, schema=schema, settings=replace(tiny, model=model, presets=()))
    run.predictor.save(tmp_path / "run")
    predictor = Predictor.load(tmp_path / "run")
    scores = predictor.predict(table.drop("conversion", "click", "like", "watch_seconds"))
    assert scores.columns[len(schema.tasks) :] == ["click_ctr", "conversion_cvr", "conversion_ctcvr"]
    assert scores["click"].equals(scores["click_ctr"].alias("click"))
    product = scores["click_ctr"] * scores["conversion_cvr"]
    np.testing.assert_allclose(product, scores["conversion"], rtol=1e-4)
    found = predictor.evaluate(table)
    assert found["funnel"]["conversion_cvr"]["rows"] == table["click"].sum()
    assert found["funnel"]["conversion_ctcvr"] == found["tasks"]["conversion"]
    assert set(found["tasks"]["click"]) == {"auc", "log_loss", "ndcg", "rows"}
    assert "funnel" in run.metrics["test"]
    if model != "esmm":
        assert found["tasks"]["like"]["rows"] == table["click"].sum()
        assert scores["watch_seconds"].is_between(0, 200).all()
        rmse = np.sqrt(((scores["watch_seconds"] - table["watch_seconds"]) ** 2).mean())
        assert found["tasks"]["watch_seconds"]["rmse"] == pytest.approx(rmse, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"funnel": ["click"]}, "name two or more different tasks"),
        ({"funnel": ["click", "click"]}, "name two or more different tasks"),
        ({"funnel": ["clik", "conversion"]}, "'clik' is no task of the schema; did you mean 'click'"),
        ({"funnel": ["click", "watch_seconds"]}, "task 'watch_seconds' is a regression"),
        ({"funnel": ["click", "like"]}, "remove its condition 'click = 1'"),
        ({"tasks": [{"name": "click", "clip": [0, 1]}], "funnel": []}, "'clip' is not for a binary task"),
        ({"tasks": [{"name": "w", "kind": "regression", "clip": [1, 0]}], "funnel": []}, "a smaller and a larger"),
        ({"tasks": [{"name": "w", "kind": "regression", "positive_weight": 2}], "funnel": []}, "'positive_weight' is"),
        (
            {"tasks": [{"name": name} for name in ("click", "buy", "buy_cvr")], "funnel": ["click", "buy"]},
            "task 'buy_cvr': the funnel's task 'buy' has an output of this name; rename the label column",
        ),
        (
            {"tasks": [{"name": name} for name in ("click", "buy", "click_ctr")], "funnel": ["click", "buy"]},
            "task 'click_ctr': the funnel's task 'click' has an output",
        ),
        ({"negative_share": 0}, "entry 'negative_share'"),
        ({"tasks": [{"name": "click", "negative_share": 2}], "funnel": []}, "entry 'tasks.0.negative_share'"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.from_dict(SCHEMA | changes)


def test_labels_without_a_logarithm_are_an_error(tiny: Settings) -> None:
    schema = Schema.from_dict({"fields": FIELDS, "tasks": [{"name": "w", "kind": "regression", "transform": "log1p"}]})
    with pytest.raises(SchemaError, match="task 'w': log1p needs labels of 0 or more, found -"):
        fit_table(log().with_columns(w=pl.int_range(pl.len()) - 30.0), schema=schema, settings=tiny)


def test_a_layout_keeps_tasks() -> None:
    tasks = Schema.from_dict(SCHEMA).tasks
    layout = Layout((), (), (), tasks)
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


def test_the_estimator_takes_a_schema(tmp_path: Path) -> None:
    values = {"fields": FIELDS, "tasks": TASKS[:2], "funnel": ["click", "conversion"]}
    path = tmp_path / "schema.yaml"
    path.write_text(Schema.from_dict(values).text())
    settings = {"model": "shared-bottom", "presets": [], "training": {"epochs": 1}}
    scores = [AutoMTL(schema=given, settings=settings).fit(log()).predict(log()) for given in (values, path)]
    assert scores[0].equals(scores[1]) and "conversion_cvr" in scores[0].columns
