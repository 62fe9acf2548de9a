"""Correction for several tests at once (Holm, Scandinavian Journal of Statistics 1979)."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value as it is to be held against the level of the whole family. An undefined one stays None.

    The smallest of m is multiplied by m, the next one by m - 1 and so on; none falls below a smaller one's.
    """
    known = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return corrected
