"""The paired t-test agrees with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from automtl.comparison.statistics import paired_t


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
