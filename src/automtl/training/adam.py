"""Adam for many small steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class FusedAdam:
    """torch's fused Adam, to the bit, without what its optimizer does around every step.

    Its hooks, and lists of parameters and state that are gathered anew, take a twentieth of a small model's step.
    """

    def __init__(self, groups: list[dict[str, Any]], learning_rate: float) -> None:
        self.optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        self.kept: list[tuple[list[Tensor], ...]] = []  # by group: parameters, their two moments, their steps

    @torch.no_grad()
    def step(self) -> None:
        """Move all parameters that have a gradient."""
        gradients = [[parameter.grad for parameter in group["params"]] for group in self.optimizer.param_groups]
        if any(gradient is None for each in gradients for gradient in each):
            self.optimizer.step()
            return
        if not self.kept:
            self.optimizer.step()
            self.kept = [self._kept(group["params"]) for group in self.optimizer.param_groups]
            return
        for group, given, (parameters, first, second, steps) in zip(
            self.optimizer.param_groups, gradients, self.kept, strict=True
        ):
            adam(
                parameters, given, first, second, [], steps, fused=True, amsgrad=False,
                beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"], weight_decay=group["weight_decay"],
                eps=group["eps"], maximize=False,
            )  # fmt: skip

    def _kept(self, parameters: list[Tensor]) -> tuple[list[Tensor], ...]:
        states = [self.optimizer.state[parameter] for parameter in parameters]
        return parameters, *([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
