"""Whose a parameter is: mixtures that forget to say so are refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from automtl.errors import SpaceError
from automtl.nn.mixture import Mixture, SeparateCandidates, check_mixture

STACK = 2


class Scales(Mixture):
    """Two candidates that scale their input, of which a leaf says too little or too much."""

    def __init__(self, shape: tuple[int, ...] = (STACK, 1, 1)) -> None:
        super().__init__()
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(shape)) for _ in range(2))

    def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
        parts = [x * self.scales[k] * weights[:, place].reshape(-1, 1, 1) for place, k in enumerate(active)]
        return torch.stack(parts).sum(0)

    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return [self.scales[candidate]]


class Forgotten(Scales):
    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return []


class Both(Scales):
    def parameters_of(self, candidate: int) -> list[nn.Parameter]:
        return list(self.scales)


class Counting(Scales):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))


def test_a_mixture_that_says_whose_each_parameter_is_passes() -> None:
    check_mixture(Scales(), ("a", "b"), STACK)
    check_mixture(SeparateCandidates([nn.Identity(), nn.Identity()]), ("a", "b"), STACK)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        (Forgotten(), "'scales.0' is neither in parameters_of a candidate nor in shared_parameters"),
        (Both(), "operation 'b': parameters_of names a parameter of a, too"),
        (Scales((1, 3)), "lacks the copies of 2 stacked experts"),
        (Scales(()), "lacks the copies of 2 stacked experts"),
        (Counting(), "buffer 'seen'.*persistent=False"),
        (SeparateCandidates([nn.Linear(4, 4), nn.Identity()]), "lacks the copies of 2 stacked experts"),
    ],
)
def test_what_leaves_it_open_is_refused(mixture: Mixture, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        check_mixture(mixture, ("a", "b"), STACK)


def test_without_parameters_of_there_is_no_mixture() -> None:
    class Silent(Mixture):
        def forward(self, x: Tensor, weights: Tensor, active: Sequence[int]) -> Tensor:
            return x

    with pytest.raises(TypeError, match="parameters_of"):
        Silent()  # type: ignore[abstract]


def test_a_single_candidate_weighs_one() -> None:
    mixture, x = Scales(), torch.randn(STACK, 3, 4)
    torch.testing.assert_close(mixture.single(x, 1), x)


def test_separate_candidates_are_summed_by_weight() -> None:
    mixture, x, weights = SeparateCandidates([nn.Identity(), nn.ReLU()]), torch.randn(2, 3, 4), torch.rand(2, 2)
    expected = x * weights[:, :1, None] + x.relu() * weights[:, 1:, None]
    torch.testing.assert_close(mixture(x, weights, (0, 1)), expected)
    torch.testing.assert_close(mixture(x, weights[:, 1:], (1,)), x.relu() * weights[:, 1:, None])
