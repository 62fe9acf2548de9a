"""Names of the choices of a search space, in the order in which data passes them."""

from __future__ import annotations

from collections.abc import Iterable

from automtl.errors import SpaceError
from automtl.operations import Block

INTERACTION, EXPERT_INTERACTION, POOLING = "interaction", "expert_interaction", "pooling"
_BLOCKS = {INTERACTION: Block.INTERACTION, EXPERT_INTERACTION: Block.INTERACTION, POOLING: Block.POOLING}


def layer_name(depth: int) -> str:
    """Name the choice of the expert layers at a depth, counted from 0: "layer_1" is the first."""
    return f"layer_{depth + 1}"


def block_of(name: str) -> Block:
    """Return the kind of block that a choice decides."""
    return _BLOCKS.get(name, Block.LAYER)


def check_names(names: Iterable[str]) -> None:
    """Raise SpaceError unless these are all names of a space, in order; an interaction inside experts is optional."""
    found = list(names)
    first = [INTERACTION, *([EXPERT_INTERACTION] if EXPERT_INTERACTION in found else []), POOLING]
    expected = [*first, *map(layer_name, range(max(len(found) - len(first), 0)))]
    if found != expected:
        raise SpaceError(
            f"not an architecture or search space: choices {', '.join(found)}; expected {', '.join(expected)}"
        )
