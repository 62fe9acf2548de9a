"""Second-order gradients of the choices."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch
from automtl.models.supernet import Supernet
from automtl.search.unrolled import unrolled_gradients
from automtl.training.losses import MultiTaskLoss
from tests.conftest import small_batch, small_layout
from tests.search.test_search import NETWORK, SPACE

RATE = 0.5


def double(batch: Batch) -> Batch:
    features = replace(batch.features, multi=batch.features.multi[:1], numeric=batch.features.numeric.double())
    return replace(
        batch, features=features, labels=batch.labels.double(), mask=batch.mask.double(), weight=batch.weight.double()
    )


def test_the_gradient_is_that_of_the_loss_after_a_step_of_the_weights() -> None:
    """Against a numeric derivative of eq. 7 itself, along a random direction of all choices."""
    generator = torch.Generator().manual_seed(0)
    smooth = replace(NETWORK, normalization="none")  # vectors of a new network are short: normalised, they bend much
    layout = replace(small_layout(), sequences=())  # the attention over events has kinks
    supernet = Supernet(SPACE, layout, smooth, generator).double().eval()
    loss, train, valid = MultiTaskLoss(small_layout().tasks).double(), double(small_batch(64)), double(small_batch(48))
    weights = list(supernet.network.parameters())
    choices = [*supernet.logits.parameters(), *supernet.selection.parameters()]
    before = [parameter.detach().clone() for parameter in supernet.parameters()]

    def of(batch: Batch) -> Tensor:
        found: Tensor = loss(supernet(batch.features), batch)
        return found

    unrolled_gradients(lambda: of(train), lambda: of(valid), weights, choices, RATE)
    assert all(torch.equal(a, b) for a, b in zip(before, supernet.parameters(), strict=True))
    way = [torch.randn(choice.shape, generator=generator, dtype=torch.double) for choice in choices]
    found = _along([choice.grad for choice in choices], way)

    def after_a_step(shift: float) -> float:
        start = [parameter.detach().clone() for parameter in [*weights, *choices]]
        with torch.no_grad():
            torch._foreach_add_(choices, way, alpha=shift)
        slopes = torch.autograd.grad(of(train), weights)
        with torch.no_grad():
            torch._foreach_add_(weights, slopes, alpha=-RATE)
            value = float(of(valid))
            torch._foreach_copy_([*weights, *choices], start)
        return value

    numeric = (after_a_step(1e-4) - after_a_step(-1e-4)) / 2e-4
    first_order = _along(list(torch.autograd.grad(of(valid), choices)), way)
    assert abs(found - numeric) < 0.02 * abs(numeric)
    assert abs(first_order - numeric) > 0.1 * abs(numeric)


def _along(gradients: list[Tensor | None] | list[Tensor], way: list[Tensor]) -> float:
    return sum(float((a * b).sum()) for a, b in zip(gradients, way, strict=True) if a is not None)


def test_weights_that_the_loss_does_not_need_have_no_gradient_and_nothing_breaks_at_rest() -> None:
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(3))]
    choice = nn.Parameter(torch.ones(()))
    unrolled_gradients(lambda: choice * weights[0].sum(), lambda: weights[0].square().sum(), weights, [choice], 0.0)
    assert choice.grad is not None
    assert float(choice.grad) == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in weights)
