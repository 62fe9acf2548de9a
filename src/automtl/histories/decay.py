"""Exponential decay in whole numbers: sums of any events, in any order and any pieces, have the same bits.

With half-life h, the time t is in epoch e = t // h and at step s = (t % h) * STEPS // h of it. Its growth is
TABLE[s] * 2^(e % BLOCK), about 2^(t / h), where a block of BLOCK epochs begins anew. The decayed sum at q is the sum of
growth(t) x(t) over the events of q's block, and 2^-BLOCK of that over the block before, divided by growth(q). Older
events, whose weight would be below 2^-BLOCK, are forgotten. Forward decay: Cormode et al., ICDE 2009.
"""

from __future__ import annotations

import numpy as np

BLOCK = 12  # epochs; a growth is below 2^23, so that 2^26 events of the largest outcome fit into 64 bits
STEPS = 1 << 12  # of a half-life
TABLE = np.rint(2.0**11 * 2.0 ** (np.arange(STEPS) / STEPS)).astype(np.int64)


def growth(times: np.ndarray, half_life: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the blocks and the growths, (N,) int64 each, of times, (N,) int64."""
    epoch = times // half_life
    step = (times - epoch * half_life) * STEPS // half_life
    block = epoch // BLOCK
    return block, TABLE.take(step) << (epoch - block * BLOCK)


def decayed(own: np.ndarray, before: np.ndarray, growths: np.ndarray) -> np.ndarray:
    """Return decayed sums, (N,) float64, from those of the row's own block and of the block before it."""
    sums: np.ndarray = (own.astype(np.float64) + before.astype(np.float64) * 2.0**-BLOCK) / growths
    return sums
