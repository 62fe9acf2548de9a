"""The tables of a leaderboard."""

from __future__ import annotations

from automtl.report.leaderboard import cost_table, leaderboard_tables, quality_table, settings_of
from tests.report.leaderboard import leaderboard_rows

ROWS = leaderboard_rows(("click", "buy"), ("automtl-3", "mmoe", "small boosted trees"))


def test_quality_has_validation_and_test_rows_of_each_task_side_by_side() -> None:
    title, header, rows = quality_table(ROWS)
    assert title == "AUC or RMSE, validation / test rows" and header == ["candidate", "loss", "click", "buy"]
    assert rows[0] == ["ensemble", "0.9100", "0.7409 / 0.7309", "0.7409 / 0.7309"]
    assert rows[-1] == ["small boosted trees", "0.9400", "0.7406 / –", "0.7406 / –"]


def test_test_rows_that_nothing_was_tested_on_are_not_shown() -> None:
    title, _, rows = quality_table([row | {"test": None} for row in ROWS])
    assert title == "AUC or RMSE, validation rows" and rows[0][2:] == ["0.7409", "0.7409"]


def test_an_undefined_metric_is_a_dash() -> None:
    undefined = ROWS[0] | {"validation": {"click": {"undefined": "every label is 0"}, "buy": 0.7}}
    assert quality_table([undefined])[2][0][2:] == ["– / 0.7309", "0.7000 / 0.7309"]


def test_cost_has_time_latency_size_and_shares_where_there_are_any() -> None:
    _, header, rows = cost_table(ROWS)
    costs = ["training", "latency", "FLOPs/row", "parameters"]
    assert header == ["candidate", "stage", *costs, "share of click", "share of buy"]
    assert rows[0] == ["ensemble", "ensemble", "12 s", "1.42 ms", "1.2M", "4,000,000", "100 %", "100 %"]
    assert rows[2] == ["mmoe", "halving", "12 s", "0.31 ms", "1.2M", "243,152", "", ""]


def test_settings_are_named_and_no_rows_are_empty_tables() -> None:
    assert settings_of(ROWS[1]) == "training.learning_rate 0.001, network.dropout 0.3"
    assert [rows for *_, rows in leaderboard_tables([])] == [[], []]
