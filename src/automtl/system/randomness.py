"""Random numbers by a seed, without a trace in the global state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from automtl.system.workers import workers


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let `seed` decide what torch can only draw globally (dropout) in this block; the global state is restored."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextmanager
def drawing_apart() -> Iterator[None]:
    """Let each of several workers draw numbers of its own in this block: by one common number, and its place.

    What is drawn globally outside of such blocks is the same for all workers; the block moves it by that one number,
    whatever is drawn in it. So the first worker's state is that of all, of any number of workers.
    """
    if not workers().several:
        yield
        return
    common = int(torch.randint(2**62, (1,)))
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():
        generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
    before = [one.get_state() for one in generators]
    for one in generators:
        one.manual_seed(common + workers().place)
    try:
        yield
    finally:
        for one, state in zip(generators, before, strict=True):
            one.set_state(state)


class RandomStream:
    """The numbers that torch draws globally, by a seed, for work that is done in several pieces."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.states: dict[str, torch.Tensor] | None = None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Go on drawing in this block where the last one ended; the global state is restored."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            if self.states is None:
                torch.manual_seed(self.seed)
            else:
                set_drawn(self.states)
            try:
                yield
            finally:
                self.states = drawn()


def drawn() -> dict[str, torch.Tensor]:
    """Return the states of torch's global generators: of the processor, and of each graphics card by its number."""
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"processor": torch.get_rng_state()} | {str(place): one for place, one in enumerate(cards)}


def set_drawn(states: Mapping[str, torch.Tensor]) -> None:
    """Set torch's global generators to states that `drawn` returned."""
    torch.set_rng_state(states["processor"])
    for place in range(min(len(states) - 1, torch.cuda.device_count())):  # a fit may go on with fewer cards
        torch.cuda.set_rng_state(states[str(place)], place)
