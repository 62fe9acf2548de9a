"""The bootstrap agrees with a plain loop over scikit-learn's AUC, and errs as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from automtl.training.bootstrap import Interval, Statistic, auc_of_draws, paired_bootstrap, rmse_of_draws


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_auc_of_a_draw_is_scikit_learns_with_the_counts_as_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores, weights = rng.integers(0, 2, 50), rng.integers(0, 8, 50) / 7, rng.choice([0.5, 1.0, 2.0], 50)
    labels[:2] = [0, 1]
    users = rng.integers(0, 12, 50)
    statistic = auc_of_draws(labels, scores, weights, users)
    for _ in range(5):
        counts = rng.integers(0, 3, 12)
        drawn = weights * counts[users]
        if 0 < (drawn * labels).sum() < drawn.sum():
            expected = roc_auc_score(labels, scores, sample_weight=drawn)
            assert statistic(counts.astype(np.float32)) == pytest.approx(expected, abs=1e-9)
        else:
            assert np.isnan(statistic(counts.astype(np.float32)))


def test_rmse_of_a_draw_is_scikit_learns_with_the_counts_as_weights() -> None:
    rng = np.random.default_rng(0)
    labels, scores, weights, users = rng.random(50), rng.random(50), rng.random(50), rng.integers(0, 12, 50)
    counts = rng.integers(0, 3, 12)
    expected = root_mean_squared_error(labels, scores, sample_weight=weights * counts[users])
    assert rmse_of_draws(labels, scores, weights, users)(counts.astype(np.float32)) == pytest.approx(expected)
    assert np.isnan(rmse_of_draws(labels, scores, weights, users)(np.zeros(12, np.float32)))


def test_the_bootstrap_is_a_plain_loop_over_drawn_users() -> None:
    rng = np.random.default_rng(1)
    labels, users = rng.integers(0, 2, 200), rng.integers(0, 30, 200)
    ours, theirs = rng.random(200) + 0.3 * labels, rng.random(200)
    statistics = [auc_of_draws(labels, scores, np.ones(200), users) for scores in (ours, theirs)]
    found = paired_bootstrap(statistics, 30, draws=20, seed=7, threads=2)
    for draw, values in enumerate(found):
        rows = np.concatenate(
            [np.flatnonzero(users == user) for user in np.random.default_rng([7, draw]).integers(0, 30, 30)]
        )
        expected = [roc_auc_score(labels[rows], scores[rows]) for scores in (ours, theirs)]
        assert values == pytest.approx(expected, abs=1e-9)


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(2)
    statistic = rmse_of_draws(rng.random(40), rng.random(40), np.ones(40), np.arange(40))
    one, two = (paired_bootstrap([statistic], 40, draws=30, threads=threads) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_the_interval_of_a_mean_is_the_one_that_theory_gives() -> None:
    values = np.random.default_rng(3).normal(0.1, 1.0, 400)
    draws = paired_bootstrap([lambda counts: float(counts @ values / counts.sum())], 400, draws=4000)[:, 0]
    interval = Interval.of(draws)
    assert interval is not None
    error = values.std() / 20
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_the_p_value_follows_the_share_of_draws_on_the_other_side_of_zero() -> None:
    all_above, one_below = np.linspace(1, 2, 99), np.r_[-1.0, np.linspace(1, 2, 98)]
    assert Interval.of(all_above).p == pytest.approx(2 / 100)  # type: ignore[union-attr]
    assert Interval.of(one_below).p == pytest.approx(4 / 100)  # type: ignore[union-attr]
    assert Interval.of(np.zeros(9)).p == 1  # type: ignore[union-attr]
    assert Interval.of(np.r_[np.full(6, np.nan), np.ones(5)]) is None


def test_two_models_alike_in_law_differ_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(4)
    significant = sum(_p_value(*_alike(rng)) < 0.05 for _ in range(100))
    assert 1 <= significant <= 12  # of 100 at .05: 5 expected, standard deviation 2.2


def _alike(rng: np.random.Generator) -> list[Statistic]:
    labels = (rng.random(150) < 0.4).astype(float)
    shared = labels + rng.normal(0, 1, 150)
    return [auc_of_draws(labels, shared + rng.normal(0, 1, 150), np.ones(150), np.arange(150)) for _ in range(2)]


def _p_value(ours: Statistic, theirs: Statistic) -> float:
    interval = Interval.of(paired_bootstrap([lambda counts: ours(counts) - theirs(counts)], 150, draws=100)[:, 0])
    assert interval is not None
    return interval.p
