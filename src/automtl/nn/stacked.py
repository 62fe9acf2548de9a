"""Many copies of a linear map, run as one kernel. S: copies, B: rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from automtl.nn.dropout import Dropout


def uniform(shape: Sequence[int], fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """Draw a parameter from U(-b, b) with b = sqrt(1 / fan_in)."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound, generator=generator))


def product_type(device: str, otherwise: torch.dtype) -> torch.dtype:
    """Return the type of products on a kind of device: that of autocast, if it is on."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else otherwise


def layer(
    x: Tensor, weight: Tensor, bias: Tensor, *, activate: bool = False, mask: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    """Compute x weight + bias, then ReLU if `activate`, then times `mask` (of 0 and `scale`; only with ReLU).

    x: (S, B, in), or (B, in) for an input that all copies read; weight: (S, in, out), bias: (S, 1, out) -> (S, B, out),
    computed in the type of autocast, if that is on, else in that of the weight.
    """
    dtype = product_type(x.device.type, weight.dtype)
    if not torch.is_grad_enabled() and mask is None:  # without the node, which costs as much as a small product
        if x.dtype != dtype or weight.dtype != dtype:
            x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
        mapped = _map(x, weight, bias)
        return mapped.relu_() if activate else mapped
    out: Tensor = _Layer.apply(x, weight, bias, dtype, activate, mask, scale)  # type: ignore[no-untyped-call]
    return out


class _Layer(torch.autograd.Function):
    """A layer as one node in place of six: inputs are cast in it, and ReLU and dropout are read off the output.

    An input that all copies read is not repeated: its gradient is summed product by product, or in one.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype,
        activate: bool, mask: Tensor | None, scale: float,
    ) -> Tensor:  # fmt: skip
        ctx.given = (x.dtype, weight.dtype, bias.dtype)
        x, weight = x.to(dtype), weight.to(dtype)
        out = _map(x, weight, bias.to(dtype))
        if activate:
            out.relu_()
        if mask is not None:
            out.mul_(mask.to(dtype))
        ctx.save_for_backward(x, weight, out if activate else None)
        ctx.scale = scale if mask is not None else 1.0
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, out = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        gradient = gradient.contiguous()
        if out is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        if ctx.scale != 1.0:
            gradient.mul_(ctx.scale)
        of_x, of_weight, of_bias = ctx.given
        return (
            _input_gradient(gradient, weight, shared=x.dim() == 2).to(of_x) if for_x else None,
            _weight_gradient(x, gradient).to(of_weight) if for_weight else None,
            gradient.sum(dim=1, keepdim=True).to(of_bias) if for_bias else None,
            None, None, None, None,
        )  # fmt: skip


def _map(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Map x, (S, B, in) or (B, in), by weights (S, in, out) to (S, B, out)."""
    stack, inputs, size = weight.shape
    if x.dim() == 2 and (x.dtype == torch.bfloat16 or torch.compiler.is_exporting()):
        # one wide product: a batch of them would first copy x for each
        flat = torch.addmm(bias.flatten(), x, weight.transpose(0, 1).reshape(inputs, -1))
        return flat.view(-1, stack, size).transpose(0, 1).contiguous()
    if x.dim() == 2:
        return torch.baddbmm(bias, x.expand(stack, -1, -1), weight)
    if size == 1:  # a row of numbers for each copy: the product that reads x along its rows is quicker
        return torch.baddbmm(bias, weight.transpose(1, 2), x.transpose(1, 2)).view(stack, -1, 1)
    return torch.baddbmm(bias, x, weight)


def _input_gradient(gradient: Tensor, weight: Tensor, *, shared: bool) -> Tensor:
    if shared and gradient.dtype == torch.bfloat16:  # one product, rounded once: sums of short products would be each
        flat = weight.transpose(1, 2).flatten(0, 1)  # (S out, in)
        return gradient.transpose(0, 1).flatten(1) @ flat
    if shared:
        start = gradient.new_empty(gradient.shape[1], weight.shape[1])
        return torch.addbmm(start, gradient, weight.transpose(1, 2), beta=0)
    if weight.shape[2] == 1:
        return gradient * weight.transpose(1, 2)
    return torch.bmm(gradient, weight.transpose(1, 2))


def _weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of a weight, (S, in, out)."""
    stack, rows, size = gradient.shape
    if x.dim() == 2:  # one product for all copies: a batch of products would repeat x in memory
        return (x.T @ gradient.transpose(0, 1).reshape(rows, -1)).view(-1, stack, size).transpose(0, 1)
    if size == 1:
        return torch.bmm(gradient.transpose(1, 2), x).transpose(1, 2)
    return torch.bmm(x.transpose(1, 2), gradient)


class StackedLinear(nn.Module):
    """S independent linear maps: x (S, B, in), or (B, in) for all copies -> (S, B, out)."""

    def __init__(self, stack: int, in_dim: int, out_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform((stack, in_dim, out_dim), in_dim, generator)
        self.bias = nn.Parameter(torch.zeros(stack, 1, out_dim))

    def forward(self, x: Tensor) -> Tensor:
        return layer(x, self.weight, self.bias)


def entry(parameters: nn.ParameterList, place: int) -> nn.Parameter:
    """Return `parameters[place]` in a third of the time, which counts where one row is scored."""
    found: nn.Parameter = getattr(parameters, str(place))
    return found


def chosen(values: Tensor, places: Sequence[int], dim: int = 0) -> Tensor:
    """Take places of a dimension that the processor knows, in their order; places may come twice.

    An index made of numbers would be sent to the device, for which the processor waits.
    """
    if list(places) == list(range(values.shape[dim])):
        return values
    if list(places) == list(range(places[0], places[0] + len(places))):
        return values.narrow(dim, places[0], len(places))
    parts = values.unbind(dim)  # its gradient is one stack
    return torch.stack([parts[place] for place in places], dim)


def joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    """Join the parts; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=dim)


class StackedPerceptron(nn.Module):
    """S multi-layer perceptrons with ReLU between layers: (S, B, in), or (B, in) for all -> (S, B, sizes[-1]).

    `full_last`: the last layer is in full precision whatever the others are in.
    """

    def __init__(
        self, stack: int, in_dim: int, sizes: Sequence[int], generator: torch.Generator, *,
        activate_last: bool = False, full_last: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        dims = [in_dim, *sizes]
        self.layers = nn.ModuleList(StackedLinear(stack, a, b, generator) for a, b in pairwise(dims))
        self.activate_last, self.full_last = activate_last, full_last
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.layers) - 1
        for index, linear in enumerate(self.layers):
            assert isinstance(linear, StackedLinear)
            activate = index < last or self.activate_last
            stack, _, out_dim = linear.weight.shape
            dropped = activate and self.dropout.active
            mask = self.dropout.mask((stack, x.shape[-2], out_dim), x) if dropped else None
            if index == last and self.full_last and torch.is_autocast_enabled(x.device.type):
                with torch.autocast(x.device.type, enabled=False):
                    return linear(x)  # type: ignore[no-any-return]
            x = layer(x, linear.weight, linear.bias, activate=activate, mask=mask, scale=self.dropout.scale)
        return x
