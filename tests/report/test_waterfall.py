"""The report shows the gain of each step of a fit in a table and drawings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from automtl.report.folder import run_report
from automtl.report.waterfall import _stairs, waterfall_pictures, waterfall_table
from tests.report.page import Page
from tests.report.values import run_values

STEPS: list[dict[str, Any]] = [
    {"name": "base network", "what": "mmoe", "test": {"click": 0.7, "amount": 2.0}, "gain": None},
    {
        "name": "ensemble", "what": "", "test": {"click": 0.71, "amount": 1.5},
        "gain": {
            "click": {"mean": 0.01, "low": -0.002, "high": 0.022},
            "amount": {"mean": 0.5, "low": 0.4, "high": 0.6},
        },
    },
]  # fmt: skip
TASKS = [{"name": "click", "kind": "binary"}, {"name": "amount", "kind": "regression"}]


def test_a_row_has_the_metric_and_the_gain_with_its_interval() -> None:
    base, ensemble = waterfall_table(STEPS, ["click", "amount"])
    assert (base.name, base.what, base.cells) == ("base network", "mmoe", [("0.7000", ""), ("2.0000", "")])
    assert ensemble.cells[0] == ("0.7100", "+0.0100 (−0.0020 to +0.0220)")


def test_a_gain_of_regression_goes_down_and_its_interval_is_of_the_metric() -> None:
    _, sure = _stairs(STEPS, "amount", -1.0)
    assert (sure.value, sure.before, sure.gain, sure.sure) == (1.5, 2.0, 0.5, True)
    assert sure.interval == (1.4, 1.6)
    _, noise = _stairs(STEPS, "click", 1.0)
    assert not noise.sure


def test_each_task_has_a_drawing_that_says_all_in_words() -> None:
    click, amount = waterfall_pictures(STEPS, TASKS)
    assert click.description == "base network 0.7000, ensemble 0.7100 +0.0100 (−0.0020 to +0.0220)."
    assert amount.name == "waterfall-2-amount"


def test_a_run_without_steps_or_leaderboard_has_no_such_sections() -> None:
    run: Any = run_values(("click",), looks=2)
    whole = Page(run_report(run)).ids()
    plain = replace(run, metrics={**run.metrics, "waterfall": None}, history={**run.history, "leaderboard": None})
    assert {"waterfall", "leaderboard"} <= set(whole)
    assert not {"waterfall", "leaderboard"} & set(Page(run_report(plain)).ids())
