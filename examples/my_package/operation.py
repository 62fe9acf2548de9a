"""A candidate operation for expert layers: `--config` with `space: {expert_layers: [skip, "my_package.operation:GatedMLP-16"]}`.

S stacked experts, B rows, H width, U hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automtl.operations import Block, BlockShape, Operation

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


@dataclass(frozen=True)
class GatedMLP(Operation):
    """Hidden layer gated by SiLU (Shazeer, "GLU variants improve transformer", 2020)."""

    blocks = (Block.LAYER,)

    hidden: int

    @staticmethod
    def mixture(candidates: Sequence[GatedMLP], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        from torch.nn import functional as F
        from torch import Tensor, nn

        from automtl.nn.mixture import SeparateCandidates
        from automtl.nn.stacked import StackedLinear

        class Gated(nn.Module):
            """(S, B, H) -> (S, B, H)."""

            def __init__(self, hidden: int) -> None:
                super().__init__()
                self.gate = StackedLinear(stack, shape.width, hidden, generator)
                self.value = StackedLinear(stack, shape.width, hidden, generator)
                self.contract = StackedLinear(stack, hidden, shape.width, generator)

            def forward(self, x: Tensor) -> Tensor:
                out: Tensor = self.contract(F.silu(self.gate(x)) * self.value(x))
                return out

        return SeparateCandidates(Gated(candidate.hidden) for candidate in candidates)
