"""What a step of a search runs: all candidates, or a few drawn ones; and which are given up on the way."""

from __future__ import annotations

import random
from collections.abc import Mapping

import torch

from automtl.models.supernet import Supernet
from automtl.search.settings import SearchSettings

Active = Mapping[str, tuple[int, ...]]


def draw(supernet: Supernet, step: int, count: int, whole: int, seed: int) -> Active:
    """`count` candidates of each choice, the same for all its cells; in a round of steps each has its turn.

    A choice of at most `whole` candidates is not drawn from: all of them run.
    """
    sizes = {name: len(choice.options) for name, choice in supernet.space.choices.items()}
    return {
        name: _draw(size, step, size if size <= whole else count, f"{seed} {index}")
        for index, (name, size) in enumerate(sizes.items())
    }


def _draw(options: int, step: int, count: int, seed: str) -> tuple[int, ...]:
    if options <= count:
        return tuple(range(options))
    per_round = -(-options // count)
    turn, place = divmod(step, per_round)
    order = random.Random(f"{seed} {turn}").sample(range(options), options)
    return tuple(sorted((order + order)[place * count : (place + 1) * count]))


@torch.no_grad()
def promising(supernet: Supernet, share: float, whole: int) -> Active:
    """Of each choice the places of this share of the candidates, two at least: those that some cell weighs most.

    A choice of at most `whole` candidates keeps all of them.
    """
    kept = {}
    for name in supernet.space.choices:
        best = supernet.logits.weights(name).amax(dim=0)
        count = len(best) if len(best) <= whole else max(2, round(len(best) * share))
        kept[name] = tuple(sorted(best.topk(count).indices.tolist()))
    return kept


@torch.no_grad()
def leading(supernet: Supernet) -> Active:
    """Of each choice the places of the candidates that lead in some cell: where all agree, the choice is closed."""
    weights = {name: supernet.logits.weights(name) for name in supernet.space.choices}
    return {name: tuple(sorted(set(of.argmax(dim=1).tolist()))) for name, of in weights.items()}


def due(step: int, total: int, settings: SearchSettings) -> bool:
    """Whether candidates are given up after this many steps."""
    return step in {int(total * moment) for moment in settings.drop_at}


def last_due(step: int, total: int, settings: SearchSettings) -> bool:
    """Whether this is the last time."""
    return bool(settings.drop_at) and step == int(total * max(settings.drop_at))
