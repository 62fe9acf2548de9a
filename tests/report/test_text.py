"""Histories and label delays in tables and lines of text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from automtl.report.folder import run_report
from automtl.report.run import fields_by_kind
from automtl.report.text import (
    before_report,
    cost_lines,
    delay_line,
    freshness_rows,
    history_rows,
    kept_lines,
    latency_lines,
    seconds_lines,
    sequence_line,
)
from tests.report.values import run_values

GROUPS = [
    {"key": ["user"], "kind": "rates", "rises": {"click": 12.0, "buy": -0.5}, "kept": True},
    {"key": ["user"], "kind": "gaps", "rises": {"click": 1.0, "buy": 0.25}, "kept": False},
    {"key": ["user", "tag"], "kind": "rates", "rises": {"click": 0.0, "buy": 3.0}, "kept": True},
]
CURVE = [
    {"delay": delay, "tasks": {"click": {"auc": auc}, "amount": {"rmse": 1.5}}}
    for delay, auc in [("0s", 0.75), ("1h", 0.7), ("never", None)]
]


def test_each_statistic_shows_what_the_worst_hit_task_loses() -> None:
    header, rows = history_rows({"groups": GROUPS})
    assert header == ["history of", "rates", "gaps"]
    assert rows == [["user", "+12.0", "left out (+1.0)"], ["user + tag", "+3.0", ""]]


@pytest.mark.parametrize(
    ("gain", "kept", "line"),
    [
        (None, True, None),
        (
            0.0123,
            True,
            "the last events one by one change a small network's validation loss by -1.23 %: they are inputs",
        ),
        (
            -0.001,
            False,
            "the last events one by one change a small network's validation loss by +0.10 %: they were left out",
        ),
    ],
)
def test_the_gain_of_sequences_is_told(gain: float | None, kept: bool, line: str | None) -> None:
    assert sequence_line({"sequence_gain": gain, "sequence": kept}) == line


def test_label_delays_are_rows_of_a_table_and_an_hour_a_line() -> None:
    header, rows = freshness_rows(CURVE)
    assert header == ["labels after", "click", "amount"]
    assert rows == [["0s", "0.7500", "1.5000"], ["1h", "0.7000", "1.5000"], ["never", "–", "1.5000"]]
    assert "known after one hour: click 0.7500 to 0.7000, amount 1.5000 to 1.5000" in str(delay_line(CURVE))
    assert delay_line(CURVE[:1]) is None


def test_the_page_of_a_run_lists_histories_and_shows_their_gains() -> None:
    run: Any = run_values()
    assert "Histories and what they give" not in run_report(run)
    history = {
        "keys": [["user"], ["user", "tag"]],
        "sequence": {"key": "user", "fields": ["item", "tag"], "length": 20},
    }
    schema = run.schema | {"history": history}
    page = run_report(
        replace(
            run, schema=schema, history=run.history | {"histories": {"groups": GROUPS}},
            metrics=run.metrics | {"freshness": CURVE},
        )
    )  # fmt: skip
    for cell in ("left out (+1.0)", "What faster data would be worth", "0.7500", "2 histories", "user × tag"):
        assert cell in page
    kinds = dict(fields_by_kind(schema))
    assert kinds["2 histories"] == ["user", "user × tag"] and kinds["1 sequence of events"] == ["item, tag"]


def test_what_a_distilled_network_keeps_is_told_on_the_terminal_and_the_page() -> None:
    told = {"from": "runs/clicks", "kept": {"validation": {"click": 0.663, "buy": 0.5}, "test": {}}}
    line = "of the ensemble's gain over the single network, it keeps on validation rows: click 66%, buy 50%"
    assert kept_lines(told) == [line]
    run: Any = run_values()
    page = run_report(replace(run, history=run.history | {"distillation": told}))
    assert "Distilled from the ensemble in runs/clicks." in page and "click 66%, buy 50%." in page


def test_the_seconds_that_are_shown_add_up_on_the_screen_and_in_the_page() -> None:
    spent = {"reading": 1.26, "networks": 40.1, "report": 2.04, "rest": 0.3, "total": 43.7}
    found = cost_lines({"seconds": spent, "preset": "all inputs", "parameters": 1200, "flops_per_row": 3000})
    assert found == [
        "seconds: reading 1.3, networks 40.1, report 2.0, rest 0.3; 43.7 in all",
        "inputs: all inputs; 1,200 parameters; 3k FLOPs a row",
    ]
    page = before_report(spent)
    assert page.pop("total") == pytest.approx(sum(page.values())) and "report" not in page
    old = {"search": 4.0, "total": 5.0}
    assert before_report(old) == old and seconds_lines({}) == []


def test_two_latencies_cannot_be_mixed_up() -> None:
    (line,) = latency_lines({"latency_ms": {"encoded_row": 1.234, "raw_row": 5.0}})
    assert line.index("encoded row") < line.index("1.23 ms") < line.index("raw row") < line.index("5 ms")
    assert "raw" not in latency_lines({"latency_ms": {"encoded_row": 1.0, "raw_row": None}})[0]
    assert latency_lines({}) == []
