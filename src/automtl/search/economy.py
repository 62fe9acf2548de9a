"""What a step of a search runs: all candidates, or a few drawn ones of those that are not hopeless yet."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from automtl.models.supernet import Logits
from automtl.search.settings import SearchSettings

Active = Sequence[tuple[int, ...]]


def draw(logits: Logits, step: int, count: int, seed: int) -> Active:
    """`count` open candidates of each choice, the same for all its cells; in a round of steps each has its turn.

    A function of the step and of what is open.
    """
    return [_draw(_open(logits, index), step, count, f"{seed} {index}") for index in range(len(logits.alpha))]


def _open(logits: Logits, index: int) -> list[int]:
    return torch.nonzero(logits.still_open(index)).flatten().tolist()


def _draw(options: list[int], step: int, count: int, seed: str) -> tuple[int, ...]:
    if len(options) <= count:
        return tuple(options)
    per_round = -(-len(options) // count)
    turn, place = divmod(step, per_round)
    order = random.Random(f"{seed} {turn}").sample(options, len(options))
    return tuple(sorted((order + order)[place * count : (place + 1) * count]))


@torch.no_grad()
def drop_hopeless(logits: Logits, share: float) -> None:
    """Of each choice keep this share of the open candidates, two at least: those that some cell weighs most."""
    for index in range(len(logits.alpha)):
        still = logits.still_open(index)
        best = logits.weights(index, None).amax(dim=0)  # 0 where dropped
        keep = max(2, round(int(still.sum()) * share))
        still.zero_()[best.topk(min(keep, len(best))).indices] = True


def due(step: int, total: int, settings: SearchSettings) -> bool:
    """Whether candidates are dropped after this many steps."""
    return step in {int(total * moment) for moment in settings.drop_at}
