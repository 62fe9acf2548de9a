"""Paired t-test over seeds: sees the noise of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def paired_t(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The two-sided p-value that paired values differ in mean, by scipy; None for fewer than two pairs.

    Differences that are all alike have no spread to test by: p is 1 where they are 0, else 0.
    """
    from scipy.stats import ttest_1samp

    differences = np.subtract(ours, theirs)
    if len(differences) < 2:
        return None
    if np.ptp(differences) == 0:
        return 0.0 if differences[0] else 1.0
    return float(ttest_1samp(differences, 0.0).pvalue)
