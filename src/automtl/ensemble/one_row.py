"""The logits of one row, which many calls ask for one after another: networks are traced once it is worth it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Lock

from torch import Tensor, nn

from automtl.ensemble.ensemble import Ensemble
from automtl.features.batch import Features
from automtl.models.traced import traced
from automtl.training.fit import SelfTrained

ASKED = 32  # rows of one shape, after which a model is traced for it
SHAPES = 16  # for which a model is traced: lists of a row may be of any length

Logits = Callable[[Features], Tensor]


class OneRow:
    """Computes what a model, which is trained no more, does for one row, to the bit. Threads may share it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._asked: Counter[tuple[int, ...]] = Counter()
        self._traced: dict[tuple[int, ...], Logits] = {}
        self._lock = Lock()

    def __call__(self, features: Features) -> Tensor:
        """Return the logits (1, T) of one row."""
        shape = tuple(ids.shape[1] for ids in features.multi)
        found = self._traced.get(shape)
        if found is None:
            self._asked[shape] += 1
            if self._asked[shape] <= ASKED or len(self._traced) >= SHAPES:
                return self.model(features)  # type: ignore[no-any-return]
            found = self.trace(features)
        return found(features)

    def trace(self, features: Features) -> Logits:
        """Trace the model for rows of this shape now, which takes a second or some; other threads go on without."""
        shape = tuple(ids.shape[1] for ids in features.multi)
        if not self._lock.acquire(blocking=False):
            return self._traced.get(shape, self.model)
        try:
            return self._traced.setdefault(shape, traced_members(self.model, features))
        finally:
            self._lock.release()


def traced_members(model: nn.Module, features: Features) -> Logits:
    """Trace the networks of a model; what trains itself, as trees do, stays as it is."""
    if isinstance(model, SelfTrained):
        return model
    if not isinstance(model, Ensemble):
        return traced(model, features)
    parts = zip(model.members, model.inputs, strict=True)
    return partial(model.mixed, members=[traced_members(one, features.first(*inputs)) for one, inputs in parts])
