"""Linear maps of an ensemble whose members share one matrix (Wen et al., BatchEnsemble, ICLR 2020, eq. 5).

K: members, B: rows, I: inputs, O: outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.nn.stacked import layer, uniform

FEW_ROWS = 64  # for which making the members' matrices takes longer than the products


class BatchEnsembleLinear(nn.Module):
    """Maps each member's input by s_k * (W (r_k * x)) + b_k: x (K, B, I), or (B, I) for all -> (K, B, O).

    `signs`: the r_k start as random signs, which make members differ; else they start as 1, like the s_k (TabM,
    Gorishniy et al. 2024, section 3.3).
    """

    def __init__(self, members: int, in_dim: int, out_dim: int, generator: torch.Generator, *, signs: bool) -> None:
        super().__init__()
        drawn = torch.randint(2, (members, in_dim, 1), generator=generator).float() * 2 - 1
        self.scale_in = nn.Parameter(drawn if signs else torch.ones(members, in_dim, 1))
        self.weight = uniform((in_dim, out_dim), in_dim, generator)
        self.scale_out = nn.Parameter(torch.ones(members, 1, out_dim))
        self.bias = nn.Parameter(torch.zeros(members, 1, out_dim))

    def forward(self, x: Tensor, *, activate: bool = False) -> Tensor:
        """Map x; `activate`: ReLU follows. For few rows to be predicted, inputs are scaled in place of matrices."""
        plain = not torch.compiler.is_exporting()  # an exported model must not depend on the number of its rows
        plain = plain and not torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type)
        if plain and x.shape[-2] <= FEW_ROWS:
            scaled = x * self.scale_in.transpose(1, 2)  # (K, B, I)
            product = (scaled.flatten(0, 1) @ self.weight).view(*scaled.shape[:2], -1)
            out = torch.addcmul(self.bias, product, self.scale_out)
            return out.relu_() if activate else out
        return layer(
            x, self.scale_in * self.weight * self.scale_out, self.bias, activate=activate
        )  # (K, I, O) matrices
