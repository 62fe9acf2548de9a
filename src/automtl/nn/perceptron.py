"""How a hidden layer between two linear maps is run, in one place.

Legend: S copies, B rows, I inputs, H hidden units, O outputs.

On a CPU the hidden tensor (S, B, H) decides: it leaves the cache, and fresh memory costs more than the arithmetic. So
wide layers are run a slice of rows at a time, in two buffers that are used again and again, and the backward pass
computes a slice's hidden units anew instead of keeping them. `benchmarks/perceptron.py` measures it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BUFFER = 2**20  # numbers in a slice's hidden units
WIDE = 2**20  # hidden numbers from which slices pay


def perceptron(x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, share: Tensor, bias: Tensor) -> Tensor:
    """relu(x expand + expand_bias) (share contract) + bias.

    x: (S, B, I), expand: (S, I, H), expand_bias: (S, 1, H), contract: (S, H, O), share: (S, H), the weight of each
    hidden unit, bias: (S, 1, O) -> (S, B, O).
    """
    if x.device.type == "cpu" and x.shape[0] * x.shape[1] * expand.shape[2] >= WIDE:
        out: Tensor = _Sliced.apply(x, expand, expand_bias, contract, share, bias)  # type: ignore[no-untyped-call]
        return out
    return plain_perceptron(x, expand, expand_bias, contract, share, bias)


def plain_perceptron(
    x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, share: Tensor, bias: Tensor
) -> Tensor:
    """The definition, in two batched products."""
    hidden = torch.relu_(torch.baddbmm(expand_bias, x, expand))
    return torch.baddbmm(bias, hidden, share.unsqueeze(2) * contract)


class _Sliced(torch.autograd.Function):
    """The same, a slice of rows of one copy at a time. Gradients that nobody needs are not computed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, share: Tensor, bias: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, expand, expand_bias, contract, share)
        weighted = contract * share.unsqueeze(2)
        out = x.new_empty(*x.shape[:2], contract.shape[2])
        buffer = x.new_empty(_slice_rows(x, expand), expand.shape[2])
        for copy in range(len(x)):
            for rows, hidden in _slices(x.shape[1], buffer):
                _hidden(x[copy, rows], expand[copy], expand_bias[copy], hidden)
                torch.addmm(bias[copy], hidden, weighted[copy], out=out[copy, rows])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, expand, expand_bias, contract, share = ctx.saved_tensors
        for_x, for_expand, for_expand_bias, for_contract, for_share, for_bias = ctx.needs_input_grad
        x_grad = torch.empty_like(x) if for_x else None
        expand_grad = torch.zeros_like(expand) if for_expand else None
        expand_bias_grad = torch.zeros_like(expand_bias) if for_expand_bias else None
        contract_grad = torch.zeros_like(contract) if for_contract else None
        share_grad = torch.zeros_like(share) if for_share else None
        buffers = x.new_empty(2, _slice_rows(x, expand), expand.shape[2])
        for copy in range(len(x)):
            for rows, hidden in _slices(x.shape[1], buffers[0]):
                above, inner = gradient[copy, rows], buffers[1, : len(hidden)]
                _hidden(x[copy, rows], expand[copy], expand_bias[copy], hidden)
                torch.mm(above, contract[copy].T, out=inner)
                if contract_grad is not None:
                    contract_grad[copy].addmm_(hidden.T, above)
                if share_grad is not None:
                    share_grad[copy] += torch.linalg.vecdot(inner, hidden, dim=0)
                torch.ops.aten.threshold_backward.grad_input(inner, hidden, 0, grad_input=inner)
                inner.mul_(share[copy])
                if x_grad is not None:
                    torch.mm(inner, expand[copy].T, out=x_grad[copy, rows])
                if expand_grad is not None:
                    expand_grad[copy].addmm_(x[copy, rows].T, inner)
                if expand_bias_grad is not None:
                    expand_bias_grad[copy] += inner.sum(dim=0)
        if contract_grad is not None:
            contract_grad.mul_(share.unsqueeze(2))
        bias_grad = gradient.sum(dim=1, keepdim=True) if for_bias else None
        return x_grad, expand_grad, expand_bias_grad, contract_grad, share_grad, bias_grad


def _slice_rows(x: Tensor, expand: Tensor) -> int:
    return min(x.shape[1], max(64, BUFFER // expand.shape[2]))


def _slices(rows: int, buffer: Tensor) -> list[tuple[slice, Tensor]]:
    """Slices of the rows, each with as much of the buffer as it needs."""
    size = len(buffer)
    starts = range(0, rows, size)
    return [(slice(start, start + size), buffer[: min(size, rows - start)]) for start in starts]


def _hidden(x: Tensor, expand: Tensor, expand_bias: Tensor, out: Tensor) -> None:
    torch.addmm(expand_bias, x, expand, out=out).relu_()
