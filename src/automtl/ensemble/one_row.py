"""The logits of one row, which many calls ask for one after another: networks are traced once it is worth it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock, Thread

from torch import Tensor, nn

from automtl.ensemble.ensemble import Ensemble
from automtl.features.batch import Features
from automtl.models.traced import traced
from automtl.training.fit import SelfTrained

ASKED = 32  # rows of one shape, after which a model is traced for it
SHAPES = 16  # for which a model is traced: lists of a row may be of any length

Logits = Callable[[Features], Tensor]


class OneRow:
    """Computes what a model, which is trained no more, does for one row, to the bit. Threads may share it.

    Networks are traced in a thread of their own, and rows go through the model as it stands until that has ended.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._asked: Counter[tuple[int, ...]] = Counter()
        self._traced: dict[tuple[int, ...], Logits] = {}
        self._lock = Lock()

    def __call__(self, features: Features) -> Tensor:
        """Return the logits (1, T) of one row."""
        shape = shape_of(features)
        found = self._traced.get(shape)
        if found is not None:
            return found(features)
        self._asked[shape] += 1
        if self._asked[shape] == ASKED and len(self._traced) < SHAPES:
            Thread(target=self.trace, args=(features.each(Tensor.clone),), name="trace of single rows").start()
        return self.model(features)  # type: ignore[no-any-return]

    def trace(self, features: Features) -> None:
        """Trace the model for rows of this shape now, which takes seconds."""
        with self._lock:
            if shape_of(features) not in self._traced:
                self._traced[shape_of(features)] = traced_members(self.model, features)

    def members(self, features: Features) -> Sequence[Logits]:
        """Return what computes the logits of each member of an ensemble for rows of this shape, or of the model."""
        found = self._traced.get(shape_of(features), self.model)
        return found.keywords["members"] if isinstance(found, partial) else [found]


def shape_of(features: Features) -> tuple[int, ...]:
    """Return what may differ from row to row: the lengths of lists."""
    return tuple(ids.shape[1] for ids in features.multi)


def traced_members(model: nn.Module, features: Features) -> Logits:
    """Trace the networks of a model; what trains itself, as trees do, stays as it is."""
    if isinstance(model, SelfTrained):
        return model
    if not isinstance(model, Ensemble):
        return traced(model, features)
    parts = zip(model.members, model.inputs, strict=True)
    return partial(model.mixed, members=[traced_members(one, features.first(*inputs)) for one, inputs in parts])
