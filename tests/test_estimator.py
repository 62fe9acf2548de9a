"""The estimator keeps to scikit-learn's conventions, and to those of data frames and notebooks."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.metrics import make_scorer, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from automtl import AutoMTL, DataWarning
from automtl.errors import ArgumentError, SettingsError
from automtl.estimator import NotFittedModelError

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
QUICK: dict[str, Any] = {
    "model": "shared-bottom", "presets": [], "training": {"epochs": 1, "batch_size": 64},
    "network": {"embedding_size": 4, "width": 8, "towers": [4]}, "train_on_all_rows": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Tables of thirty rows are doubtful."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield


@parametrize_with_checks([AutoMTL(settings=QUICK)])
def test_scikit_learns_checks(estimator: AutoMTL, check: Callable[[AutoMTL], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def rows(log: pl.DataFrame) -> pl.DataFrame:
    return log.select("user_id", "device", "price", "click", "buy").head(400)


@pytest.fixture(scope="module")
def model(rows: pl.DataFrame) -> AutoMTL:
    return AutoMTL(["click", "buy"], settings=QUICK).fit(rows)


def test_labels_apart_are_the_same_as_labels_in_the_table(rows: pl.DataFrame, model: AutoMTL) -> None:
    X, y = rows.drop("click", "buy"), rows.select("click", "buy")
    expected = model.predict(rows)
    assert AutoMTL(settings=QUICK).fit(X, y).predict(X).equals(expected)
    pandas = X.to_pandas().set_index(np.arange(400) + 7)
    frame = AutoMTL(settings=QUICK).fit(pandas, y.to_pandas()).predict(pandas)
    assert isinstance(frame, pd.DataFrame) and frame.index[0] == 7
    np.testing.assert_array_equal(frame, expected)
    named = AutoMTL(["click", "buy"], settings=QUICK).fit(X, y.to_numpy())
    assert named.predict(X).equals(expected) and list(named.feature_names_in_) == X.columns


@pytest.mark.parametrize("kind", [pd.Series, pl.Series, np.ndarray])
def test_one_label_gives_one_dimension(rows: pl.DataFrame, kind: type) -> None:
    X, y = rows.drop("click", "buy"), rows["click"]
    given = {
        pd.Series: (X.to_pandas(), y.to_pandas()),
        pl.Series: (X, y),
        np.ndarray: (X.drop("device").to_numpy(), y.to_numpy()),
    }
    found = AutoMTL(settings=QUICK).fit(*given[kind])
    scores, both = found.predict(given[kind][0]), found.predict_proba(given[kind][0])
    assert isinstance(scores, kind) and scores.shape == (400,)
    np.testing.assert_array_equal(both, np.stack([1 - np.asarray(scores), scores], axis=1))


@pytest.mark.parametrize(
    ("tasks", "given", "message"),
    [
        ([], lambda t: (t, None), "requires y to be passed, but the target y is None"),
        (["click"], lambda t: (t, t.select("click")), "task 'click' is a column of X and of y"),
        (
            ["clik"],
            lambda t: (t.drop("click"), t.select("click")),
            "task 'clik' is no column of y; did you mean 'click'",
        ),
        (["buy"], lambda t: (t.drop("click"), t["click"]), "y is named click, tasks are buy"),
        (["click"], lambda t: (t.select("price").to_numpy(), None), "an array has no names"),
        ([], lambda t: (t, np.zeros((400, 2, 2))), "y has 3 dimensions"),
    ],
)
def test_labels_that_make_no_sense_are_refused(
    tasks: list[str], given: Callable[[pl.DataFrame], Any], message: str, rows: pl.DataFrame
) -> None:
    with pytest.raises(ArgumentError, match=message) as found:
        AutoMTL(tasks, settings=QUICK).fit(*given(rows))
    assert isinstance(found.value, ValueError) and isinstance(found.value, SettingsError)


def test_a_label_of_three_values_is_a_quantity_with_a_warning(rows: pl.DataFrame) -> None:
    with pytest.warns(DataWarning, match="'y' of y has 3 different labels"):
        found = AutoMTL(settings=QUICK).fit(rows.select("price", "user_id").to_numpy(), np.arange(400) % 3)
    assert not hasattr(found, "predict_proba") and found.classes_ == []


def test_rows_as_dictionaries_give_dictionaries(rows: pl.DataFrame, model: AutoMTL) -> None:
    expected = model.predict(rows.head(2)).to_dicts()
    assert model.predict(rows.head(2).to_dicts()) == expected
    assert model.predict(rows.row(0, named=True)) == model.predict(rows.head(1)).to_dicts()[0]
    assert model.predict(rows.head(2).to_dict(as_series=False)).to_dicts() == expected


def test_it_is_a_part_of_pipelines_and_searches(rows: pl.DataFrame) -> None:
    X, y = rows.select("price", "user_id").to_numpy(), rows["click"].to_numpy()
    pipeline = make_pipeline(StandardScaler(), AutoMTL(settings=QUICK))
    values = cross_val_score(pipeline, X, y, cv=2, scoring=make_scorer(roc_auc_score))
    np.testing.assert_array_equal(values, cross_val_score(pipeline, X, y, cv=2))
    grid = GridSearchCV(AutoMTL(["click", "buy"], settings=QUICK), {"seed": [0, 1]}, cv=2).fit(rows)
    assert set(grid.predict(rows).columns) == {"click", "buy"} and 0 < grid.best_score_ < 1


def test_the_score_is_the_mean_of_auc_and_r2(rows: pl.DataFrame) -> None:
    X, y = rows.drop("click", "buy"), rows.select("click", spent=pl.col("price") * 1e9)
    model = AutoMTL(settings=QUICK).fit(X, y)
    scores = model.predict(X)
    expected = (roc_auc_score(y["click"], scores["click"]) + r2_score(y["spent"], scores["spent"])) / 2
    assert model.score(X, y) == pytest.approx(expected, rel=1e-9) == model.score(pl.concat([X, y], how="horizontal"))
    with pytest.warns(DataWarning, match="leaves out 'click': all labels are alike"):
        model.score(X, y.with_columns(click=1))
    assert model.evaluate(X, y)["tasks"]["click"]["auc"] == roc_auc_score(y["click"], scores["click"])
    assert model.predict_proba(X).shape == (400, 2)  # of the binary task alone


def test_a_run_folder_is_an_estimator(rows: pl.DataFrame, model: AutoMTL, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    loaded = AutoMTL.load(tmp_path / "run")
    assert loaded.predict(rows).equals(model.predict(rows)) and loaded.score(rows) == model.score(rows)
    assert clone(loaded).fit(rows).predict(rows).equals(model.predict(rows))
    loaded.report(tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf-8")
    with pytest.raises(ArgumentError, match="one model alone"):
        loaded.leaderboard()


def test_the_leaderboard_lists_all_models(rows: pl.DataFrame) -> None:
    settings = QUICK | {"ensemble": True, "trees": {"rounds": 5}, "selection": {"worth": 0}}
    found = AutoMTL("click", drop="buy", settings=settings).fit(rows).leaderboard()
    assert {"name", "score", "validation click", "test click", "share click", "latency_ms"} <= set(found.columns)
    assert found.height >= 3 and found["test click"].is_between(0, 1).all()


def test_what_is_shown_is_short(model: AutoMTL) -> None:
    unfitted = AutoMTL("click", seed=3)
    assert repr(unfitted) == "AutoMTL(seed=3, tasks='click')"
    assert "<table>" not in unfitted._repr_html_() and "<td>click</td>" in model._repr_html_()
    assert repr(model.predictor_) == "Predictor(tasks=['click', 'buy'], models=['shared-bottom'])"
    assert repr(model.run_) == "Run(tasks=['click', 'buy'], folder=None)"
    with pytest.raises(NotFittedModelError, match="call fit first"):
        unfitted.predict(pl.DataFrame({"a": [1]}))


def test_a_fit_logs_its_stages_and_warns_of_doubtful_columns(
    rows: pl.DataFrame, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    told = rows.with_columns(told=pl.col("click") * 7.5)
    with caplog.at_level(logging.INFO, "automtl"), pytest.warns(DataWarning, match="'told' alone") as found:
        AutoMTL(["click"], drop=["buy"], settings=QUICK).fit(told)
    assert len([one for one in found if "'told' alone" in str(one.message)]) == 1
    assert any("training" in record.getMessage() for record in caplog.records)
    assert capsys.readouterr().err == ""
    AutoMTL(["click"], drop=["buy"], settings=QUICK, verbose=1).fit(rows)
    assert "training shared-bottom: 280 of 280" in capsys.readouterr().err and not logging.getLogger("automtl").handlers


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("handlers", []), ("level", logging.root.level)):  # which the page changes
        monkeypatch.setattr(logging.root, name, value)
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, PAGE.name, "exec"), names)
    assert names["click"].shape == (1000, 2) and Path("report.html").is_file()
