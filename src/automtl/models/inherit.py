"""Carry parameters from a wide block or network to a narrower one."""

from __future__ import annotations

import torch

from automtl.models.block import ChoiceBlock, MixedBlock, candidate_parameters
from automtl.models.network import Network
from automtl.space.names import INTERACTION


@torch.no_grad()
def copy_candidate(wide: MixedBlock, narrow: MixedBlock, cells: list[int] | None = None) -> None:
    """Give `narrow` the parameters of its options in `wide`; `cells`: the copies of wide that it takes."""
    cells = list(range(wide.stack)) if cells is None else cells
    for source, target in candidate_parameters(wide, narrow):
        target.copy_(source[cells])


@torch.no_grad()
def copy_network(wide: Network, narrow: Network, experts: list[int]) -> None:
    """Give a derived network the supernet's parameters; `experts`: which of the supernet's it has, in its order.

    Gates exist in the derived network alone and are left as they are.
    """
    narrow.embedding.load_state_dict(wide.embedding.state_dict())
    narrow.towers.load_state_dict(wide.towers.state_dict())
    for name, block in narrow.blocks.items():
        _copy_choice(wide.blocks[name], block, [0] if name == INTERACTION else experts)


def _copy_choice(wide: ChoiceBlock, narrow: ChoiceBlock, experts: list[int]) -> None:
    for cells, block in zip(narrow.groups, narrow.blocks, strict=True):
        wanted = [experts[cell] for cell in cells]
        group = next(index for index, members in enumerate(wide.groups) if wanted[0] in members)
        source = wide.blocks[group]
        assert isinstance(source, MixedBlock) and isinstance(block, MixedBlock)
        copy_candidate(source, block, [wide.groups[group].index(cell) for cell in wanted])
