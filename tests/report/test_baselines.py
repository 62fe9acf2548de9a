"""Tests of the baselines that a model is held against."""

from __future__ import annotations

from automtl.report.baselines import baseline_note, baseline_table, baseline_words, baselines

TASKS = [{"name": "click", "kind": "binary"}, {"name": "spent", "kind": "regression"}]
ROWS = [
    {"name": "ensemble", "stage": "ensemble", "test": {"click": 0.8, "spent": 1.0}},
    {"name": "automtl 2", "stage": "search", "test": {"click": 0.78, "spent": 1.2}},
    {"name": "small trees", "stage": "boosted trees", "test": {"click": 0.77, "spent": {"undefined": "no label"}}},
    {"name": "automtl 1", "stage": "search", "test": {"click": 0.79, "spent": 1.1}},
    {"name": "plain", "stage": "inputs", "test": {"click": 0.7, "spent": 1.5}},
]


def test_the_best_of_each_kind_on_validation_rows_stands_beside_the_model() -> None:
    found = baselines(TASKS, ROWS, {"click": {"auc": 0.8}, "spent": {"rmse": 1.0}})
    header, rows = baseline_table(TASKS, found)
    assert header == ["task", "a guess", "reference network", "boosted trees alone", "best network", "this model"]
    assert rows == [
        ["click: AUC", "0.5000", "0.7000", "0.7700", "0.7800", "0.8000"],
        ["spent: RMSE", "–", "1.5000", "–", "1.2000", "1.0000"],
    ]
    assert (
        baseline_note(found[1:])
        == "reference network: plain; boosted trees alone: small trees; best network: automtl 2"
    )
    words = "reference network 1.5000, best network 1.2000"
    assert baseline_words("spent", found) == words


def test_a_model_alone_stands_beside_a_guess_if_that_is_known() -> None:
    assert [one.name for one in baselines(TASKS[:1], [], {"click": {"auc": 0.8}})] == ["a guess", "this model"]
    assert [one.name for one in baselines(TASKS[1:], [], {"spent": {"rmse": 1.0}})] == ["this model"]
