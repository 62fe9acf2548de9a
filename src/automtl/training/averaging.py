"""Weights averaged over the steps of a training, with which a model is evaluated and served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

EVERY = 4  # steps between two updates: a pass over all weights costs memory traffic


class Averaging:
    """An exponential moving average of all floating point weights (Kingma and Ba, ICLR 2015, section 7.2).

    `decay` a step; early on it is less, (1 + steps) / (10 + steps), so that the start is forgotten. A decay of 0
    averages nothing. `apart`: parameters that are not averaged, such as tables of which a step moves a few rows;
    torch's `AveragedModel` would copy these, and takes 70 µs more for an update.
    """

    def __init__(self, model: nn.Module, decay: float, apart: Sequence[nn.Parameter] = ()) -> None:
        self.decay, self.steps = decay, 0
        left = {id(parameter) for parameter in apart}
        weights = [*model.parameters(), *model.buffers()] if decay else []
        self.weights = [one for one in weights if one.is_floating_point() and id(one) not in left]
        self.averages = [one.detach().clone() for one in self.weights]

    def after_step(self) -> None:
        """Move the averages towards the present weights."""
        self.steps += 1
        if self.steps % EVERY == 0 and self.averages:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) ** EVERY
            get_ema_multi_avg_fn(decay)(self.averages, [one.detach() for one in self.weights], self.steps)

    def load(self, steps: int, averages: Mapping[str, Tensor]) -> None:
        """Take over averages by their place, after so many steps."""
        self.steps = steps
        for place, one in enumerate(self.averages):
            one.copy_(averages[str(place)])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model hold the averages inside the block, and its own weights afterwards."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for index, one in enumerate(self.weights):
            one.data, self.averages[index] = self.averages[index], one.data
