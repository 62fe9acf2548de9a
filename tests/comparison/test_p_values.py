"""The paired t-test agrees with scipy, Holm's correction with its definition."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from automtl.comparison.p_values import holm, paired_t


@pytest.mark.parametrize("pairs", [2, 5, 30])
def test_it_is_scipys(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    ours, theirs = rng.normal(0.71, 0.01, pairs), rng.normal(0.70, 0.01, pairs)
    assert paired_t(ours, theirs) == pytest.approx(ttest_rel(ours, theirs).pvalue, rel=1e-12)


def test_one_pair_decides_nothing() -> None:
    assert paired_t([0.9], [0.1]) is None


def test_differences_without_spread_have_a_p_value() -> None:
    assert paired_t([0.5, 0.75], [0.5, 0.75]) == 1
    assert paired_t([0.5, 0.75], [0.25, 0.5]) == 0


def test_a_known_case_of_the_correction() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_undefined_ones_stay_undefined_and_do_not_count() -> None:
    assert holm([None, 0.03, None, 0.02]) == [None, 0.04, None, 0.04]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=5))
def test_the_correction_is_the_closed_test_by_bonferroni(p_values: list[float]) -> None:
    """A hypothesis falls if every set of hypotheses that holds it falls by Bonferroni's test."""
    found = holm(list(p_values))
    places = range(len(p_values))
    for place in places:
        sets = [s for size in range(1, len(p_values) + 1) for s in combinations(places, size) if place in s]
        closed = max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets)
        assert found[place] == pytest.approx(closed)
