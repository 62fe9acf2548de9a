"""Random numbers by a seed."""

import torch

from automtl.system.randomness import seeded


def test_numbers_are_those_of_the_seed_and_the_global_state_is_restored() -> None:
    state = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(2)
    with seeded(3):
        assert torch.equal(torch.rand(4), first)
