"""One model and its data, described for every library alike. Needs numpy alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Sizes:
    """`experts`: of an MMoE, each a perceptron of `hidden`; 0: a Shared-Bottom of `hidden`. Towers: perceptrons."""

    experts: int
    hidden: tuple[int, ...]
    tower: tuple[int, ...]
    fields: int = 33
    numeric: int = 7
    vocabulary: int = 1000
    embedding: int = 16
    tasks: int = 4
    batch: int = 1024

    def text(self) -> str:
        """One line; the inverse of `read`."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> Sizes:
        """The inverse of `text`."""
        values = json.loads(text)
        return Sizes(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def data(self, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids (N, C) int64, numeric (N, M) float32, labels (N, T) float32: the same for all libraries.

        The labels hang on the fields, so that training is not of noise alone.
        """
        rng = np.random.default_rng(0)
        ids = rng.integers(0, self.vocabulary, (rows, self.fields))
        numeric = rng.normal(size=(rows, self.numeric)).astype(np.float32)
        effect = rng.normal(size=(self.vocabulary, self.tasks))
        score = effect[ids[:, 0]] + effect[ids[:, 1]] + numeric[:, :1]
        labels = (score + rng.normal(size=score.shape) > 1).astype(np.float32)
        return ids, numeric, labels


WIDE = Sizes(experts=8, hidden=(128, 64), tower=(128, 64))
NARROW = Sizes(experts=0, hidden=(64,), tower=(16,))
