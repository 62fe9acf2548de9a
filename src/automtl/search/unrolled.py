"""Second-order gradients of the choices (Liu et al., DARTS, ICLR 2019, eq. 7 and 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

REACH = 0.01  # norm of the finite difference in all weights together (below eq. 8)


def unrolled_gradients(
    train_loss: Callable[[], Tensor],
    valid_loss: Callable[[], Tensor],
    weights: Sequence[nn.Parameter],
    choices: Sequence[nn.Parameter],
    rate: float,
) -> None:
    """Compute gradients of the validation loss after a step of the weights, w' = w - rate * d train_loss / dw.

    The choices get the total gradient: the direct one less rate times a Hessian-vector product, a finite difference of
    gradients of `train_loss`. The weights get the gradient at w', and are restored. The step is plain gradient descent,
    whatever optimizer moves the weights. `train_loss` must drop the same numbers at every call.
    """
    start = [weight.detach().clone() for weight in weights]
    _shift(weights, start, _gradients(train_loss(), weights), -rate)
    found = _gradients(valid_loss(), [*choices, *weights])
    direct, valid = found[: len(choices)], found[len(choices) :]
    reach = REACH / float(nn.utils.get_total_norm(valid).clamp(min=1e-12))
    sides = []
    for sign in (1, -1):
        _shift(weights, start, valid, sign * reach)
        sides.append(_gradients(train_loss(), choices))
    _shift(weights, start, valid, 0.0)
    for choice, straight, above, below in zip(choices, direct, *sides, strict=True):
        choice.grad = straight - rate * (above - below) / (2 * reach)
    for weight, gradient in zip(weights, valid, strict=True):
        weight.grad = gradient


def _gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)


@torch.no_grad()
def _shift(weights: Sequence[Tensor], start: list[Tensor], way: Sequence[Tensor], length: float) -> None:
    """Put the weights at `start`, and from there `length` along `way`."""
    torch._foreach_copy_(list(weights), start)
    if length:
        torch._foreach_add_(list(weights), list(way), alpha=length)
