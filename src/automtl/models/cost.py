"""The cost of an architecture: multiply-adds of its matrix products, as torch counts them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from automtl.models.block import CandidateWeights, ChoiceBlock, MixedBlock, example_inputs
from automtl.models.network import Network, RelaxedArchitecture
from automtl.nn.shape import BlockShape
from automtl.nn.stacked import StackedLinear, chosen
from automtl.operations import Block
from automtl.space.space import Places, SearchSpace


class Cost(nn.Module):
    """Counts multiply-adds for one row: the expected ones of what the choices decide, and those of the rest."""

    def __init__(self, space: SearchSpace, network: Network) -> None:
        super().__init__()
        for name, choice in network.blocks.items():
            self.register_buffer(f"of_{name}", choice_costs(choice), persistent=False)  # (cells, K)
        shape = network.shape
        gates = space.num_tasks * space.num_experts * (shape.fields * shape.dim + shape.width)
        towers = [m.weight.numel() for m in network.towers.modules() if isinstance(m, StackedLinear)]
        self.fixed = float(gates + sum(towers))

    def forward(self, relaxed: RelaxedArchitecture) -> Tensor:
        """Return the expected multiply-adds."""
        decided = [(self._costs(name, of) * of.weights).sum() for name, of in relaxed.choices.items()]
        return self.fixed + torch.stack(decided).sum()

    def _costs(self, name: str, of: CandidateWeights) -> Tensor:
        """Return the multiply-adds (cells, K) of the options of a choice that have weights."""
        every: Tensor = getattr(self, f"of_{name}")
        return every if of.active is None else chosen(every, of.active, 1)

    def prune(self, kept: Places) -> None:
        """Forget the options of each choice that are not at these places."""
        for name, places in kept.items():
            setattr(self, f"of_{name}", getattr(self, f"of_{name}")[:, list(places)])


def choice_costs(choice: ChoiceBlock) -> Tensor:
    """Count the multiply-adds (cells, K) for one row of each option of a choice whose cells have the same options."""
    block = choice.mixed_blocks[0]
    costs = [multiply_adds(block, choice.block, choice.shape, place) for place in range(len(block.options))]
    return torch.tensor([costs]).repeat(sum(map(len, choice.groups)), 1)


def multiply_adds(block: MixedBlock, kind: Block, shape: BlockShape, place: int) -> float:
    """Count the multiply-adds of one option in one cell for one more row."""
    one, two = (_flops(block, example_inputs(kind, shape, block.stack, rows), place) for rows in (1, 2))
    return (two - one) / 2 / block.stack


@torch.no_grad()
def _flops(block: MixedBlock, x: Tensor, place: int) -> int:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # other kernels are not counted
        block(x, None, (place,))
    return int(counter.get_total_flops())
