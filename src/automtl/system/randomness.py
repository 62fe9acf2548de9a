"""Random numbers by a seed, without a trace in the global state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let `seed` decide what torch can only draw globally (dropout) in this block; the global state is restored."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


class RandomStream:
    """The numbers that torch draws globally, by a seed, for work that is done in several pieces."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.states: tuple[torch.Tensor, list[torch.Tensor]] | None = None  # of the processor, of graphics cards

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Go on drawing in this block where the last one ended; the global state is restored."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            if self.states is None:
                torch.manual_seed(self.seed)
            else:
                torch.set_rng_state(self.states[0])
                torch.cuda.set_rng_state_all(self.states[1])
            try:
                yield
            finally:
                cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
                self.states = torch.get_rng_state(), cards
