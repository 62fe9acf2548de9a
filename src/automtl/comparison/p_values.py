"""P-values of differences over seeds, which measure the noise of training, and their correction for several tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def paired_t(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the two-sided p-value that paired values differ in mean, by scipy; None for fewer than two pairs.

    Equal differences have no spread to test by: then p is 1 if they are 0, else 0.
    """
    from scipy.stats import ttest_1samp

    differences = np.subtract(ours, theirs)
    if len(differences) < 2:
        return None
    if np.ptp(differences) == 0:
        return 0.0 if differences[0] else 1.0
    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct the p-values of m tests for their number (Holm, Scandinavian J. of Statistics 1979).

    The smallest is multiplied by m, the next one by m - 1 and so on, and their order is kept; None stays None.
    """
    known = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return corrected
