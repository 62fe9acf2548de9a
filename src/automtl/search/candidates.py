"""Which candidates of each choice run in a pass, and which are left after a pruning."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Candidates = Mapping[str, tuple[int, ...]]  # some of each choice, by place
Sizes = Mapping[str, int]  # how many candidates each choice has
KEPT = 0.5  # share of the candidates that a pruning by top-k leaves


def sample_candidates(sizes: Sizes, step: int, count: int | None, small: int, seed: int) -> Candidates | None:
    """Sample `count` candidates of each choice for all its cells (None: all); in a round of steps each runs once.

    A choice of at most `small` candidates runs all.
    """
    if count is None:
        return None
    counts = [size if size <= small else count for size in sizes.values()]
    return {
        name: _sample(size, step, counts[index], f"{seed} {index}") for index, (name, size) in enumerate(sizes.items())
    }


def _sample(size: int, step: int, count: int, seed: str) -> tuple[int, ...]:
    if size <= count:
        return tuple(range(size))
    turn, place = divmod(step, -(-size // count))
    order = random.Random(f"{seed} {turn}").sample(range(size), size)
    return tuple(sorted((order + order)[place * count : (place + 1) * count]))


def top_k(weights: Tensor, small: int) -> tuple[int, ...]:
    """Keep half of the candidates, two at least: those that some cell weighs most; all, if there are at most `small`.

    weights: (cells, K).
    """
    best = weights.amax(dim=0)
    count = len(best) if len(best) <= small else max(2, round(len(best) * KEPT))
    return tuple(sorted(best.topk(count).indices.tolist()))


def argmax(weights: Tensor) -> tuple[int, ...]:
    """Keep the candidates that are the strongest of some cell. weights: (cells, K)."""
    return tuple(sorted(set(weights.argmax(dim=1).tolist())))
