"""The simulated feed is what its truth says, in the order of time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from automtl.tables.simulated import RATES, TASKS, SimulatedLog, simulated_log


@pytest.fixture(scope="module")
def feed() -> SimulatedLog:
    return simulated_log(20_000, users=600, items=400, seed=3)


def test_labels_are_drawn_by_the_truth_at_the_rates_wanted(feed: SimulatedLog) -> None:
    for task in TASKS:
        truth, labels = feed.truth[task].to_numpy(), feed.table[task].to_numpy()
        error = np.sqrt((truth * (1 - truth)).sum())
        assert truth.mean() == pytest.approx(RATES[task], rel=0.01)
        assert abs(labels.sum() - truth.sum()) < 4 * error
        assert roc_auc_score(labels, truth) > 0.75
    later = feed.table.select(TASKS[1:])
    assert feed.table.filter(pl.col("click") == 0).select(TASKS[1:]).to_numpy().sum() == 0 < later.to_numpy().sum()


def test_rows_stand_in_the_order_of_time_and_sessions(feed: SimulatedLog) -> None:
    assert feed.table["shown_at"].is_sorted()
    ends = feed.table.group_by("user_id").agg(pl.col("position").max())
    assert feed.table["position"].min() == 0 and ends["position"].max() > 5


def test_what_is_liked_is_not_what_is_clicked(feed: SimulatedLog) -> None:
    logits = {task: np.log(feed.truth[task] / (1 - feed.truth[task])) for task in TASKS}
    shared = np.corrcoef(logits["click"], logits["long_view"])[0, 1]
    assert np.corrcoef(logits["click"], logits["like"])[0, 1] < shared - 0.1


def test_the_same_seed_gives_the_same_feed() -> None:
    one, two, other = simulated_log(500, seed=0), simulated_log(500, seed=0), simulated_log(500, seed=1)
    assert one.table.equals(two.table) and one.truth.equals(two.truth) and not one.table.equals(other.table)
