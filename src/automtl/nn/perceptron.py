"""A wide hidden layer between two linear maps, run in few passes over its units.

Legend: S copies, B rows, I inputs, H hidden units, O outputs.

The hidden units of all candidates of all experts are many (66 MB for eight experts and 1024 rows of the published
space), so passes over them decide the time: one forward, one backward, in place, and none to weigh units, since the
rows of a matrix are weighed instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def perceptron(x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, share: Tensor, bias: Tensor) -> Tensor:
    """Compute relu(x expand + expand_bias) (share contract) + bias.

    x: (S, B, I), expand: (S, I, H), expand_bias: (S, 1, H), contract: (S, H, O), share: (S, H), the weight of each
    hidden unit, bias: (S, 1, O) -> (S, B, O).
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        low = [values.to(dtype) for values in (x, expand, expand_bias, contract, share, bias)]
        with torch.autocast(kind, enabled=False):
            return perceptron(*low)
    out: Tensor = _Perceptron.apply(x, expand, expand_bias, contract, share, bias)  # type: ignore[no-untyped-call]
    return out


class _Perceptron(torch.autograd.Function):
    """The perceptron as one node, which computes only the gradients that are needed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, share: Tensor, bias: Tensor
    ) -> Tensor:
        hidden = torch.baddbmm(expand_bias, x, expand).relu_()  # (S, B, H)
        ctx.save_for_backward(x, expand, contract, share, hidden)
        return torch.baddbmm(bias, hidden, contract * share.unsqueeze(2))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        x, expand, contract, share, hidden = ctx.saved_tensors
        for_x, for_expand, for_expand_bias, for_contract, for_share, for_bias = ctx.needs_input_grad
        inner = torch.bmm(above, contract.transpose(1, 2))  # (S, B, H), as if every unit weighed 1
        contract_grad = share_grad = None
        if for_contract:
            contract_grad = torch.bmm(hidden.transpose(1, 2), above)
            share_grad = torch.linalg.vecdot(contract_grad, contract, dim=2)
            contract_grad.mul_(share.unsqueeze(2))
        elif for_share:
            share_grad = torch.linalg.vecdot(inner, hidden, dim=1)
        torch.ops.aten.threshold_backward.grad_input(inner, hidden, 0, grad_input=inner)
        return (
            torch.bmm(inner, (expand * share.unsqueeze(1)).transpose(1, 2)) if for_x else None,
            torch.bmm(x.transpose(1, 2), inner).mul_(share.unsqueeze(1)) if for_expand else None,
            inner.sum(dim=1, keepdim=True).mul_(share.unsqueeze(1)) if for_expand_bias else None,
            contract_grad,
            share_grad,
            above.sum(dim=1, keepdim=True) if for_bias else None,
        )
