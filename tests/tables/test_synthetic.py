"""The log with a known answer is what its parameters say."""

from __future__ import annotations

import numpy as np
import pytest

from automtl.tables.synthetic import synthetic_log


def correlation(relatedness: float, first: str, second: str) -> float:
    log = synthetic_log(40_000, relatedness=relatedness, noise=0.0, seed=3)
    return float(np.corrcoef(log[first], log[second])[0, 1])


def test_tasks_of_one_group_are_related_and_others_by_the_parameter() -> None:
    assert correlation(0.0, "click", "like") > 0.3
    assert abs(correlation(0.0, "click", "buy")) < 0.15
    assert correlation(1.0, "click", "buy") > 0.3


def test_interaction_is_what_no_sum_over_fields_explains() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import OneHotEncoder

    scores = []
    for share in (0.0, 1.0):
        log = synthetic_log(20_000, interaction=share, noise=0.0, users=60, items=40, seed=1)
        x = OneHotEncoder().fit_transform(log.select("user_id", "item_id", "device").to_numpy())
        y = log["click"].to_numpy()
        model = LogisticRegression(max_iter=300).fit(x[:15_000], y[:15_000])
        scores.append(roc_auc_score(y[15_000:], model.predict_proba(x[15_000:])[:, 1]))
    assert scores[0] > 0.8
    assert scores[1] < 0.7


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_gives_the_same_log(seed: int) -> None:
    assert synthetic_log(300, seed=seed).equals(synthetic_log(300, seed=seed))
    assert not synthetic_log(300, seed=seed).equals(synthetic_log(300, seed=seed + 1))
