"""Adam for many small steps."""

import pytest
import torch
from torch import nn

from automtl.training.adam import FusedAdam


@pytest.mark.parametrize("without", [None, 0, 2])
def test_steps_are_those_of_torch_to_the_bit(without: int | None) -> None:
    """Also where a parameter has no gradient in one of the steps."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator) for shape in ((50, 4), (4, 3), (3,))]
    ours, theirs = ([nn.Parameter(each.clone()) for each in drawn] for _ in range(2))
    quick = FusedAdam(groups(ours), 0.01)
    torchs = torch.optim.Adam(groups(theirs), lr=0.01, fused=True)
    for step in range(5):
        for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            missing = place == without and step in (0, 3)
            a.grad = None if missing else torch.randn(a.shape, generator=generator)
            b.grad = a.grad if a.grad is None else a.grad.clone()
        quick.step()
        torchs.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(ours, drawn, strict=True))


def groups(parameters: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"params": parameters[:1], "weight_decay": 0.1}, {"params": parameters[1:], "weight_decay": 0.0}]
