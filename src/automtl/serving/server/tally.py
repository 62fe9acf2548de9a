"""Counts of what a model has scored: rows, batches, unknown ids, and how its scores are distributed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from automtl.serving.server.scoring import Scored

PROBABILITIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, *(round(0.1 * step, 1) for step in range(1, 10)), 0.95, 0.99)
VALUES = tuple(sorted(sign * 10.0**power for power in range(-2, 7) for sign in (-1, 1)))
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Distribution:
    """A histogram. `edges`: upper edges, ascending; counts has one more, for what is above them."""

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges, self.total = np.asarray(edges, np.float64), 0.0
        self.counts = np.zeros(len(edges) + 1, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count some values, (N,)."""
        places = np.searchsorted(self.edges, values, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.total += float(values.sum())

    def add_one(self, value: float) -> None:
        """Count one value."""
        self.counts[int(np.searchsorted(self.edges, value, side="left"))] += 1
        self.total += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """The edges as texts, each with the number of values up to it."""
        names = [*(f"{edge:g}" for edge in self.edges), "+Inf"]
        return list(zip(names, self.counts.cumsum().astype(float).tolist(), strict=True))


@dataclass
class Tally:
    """Counts of one model since the server began. The thread that scores counts; others read."""

    rows: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    batches: Distribution = field(default_factory=lambda: Distribution(ROWS))
    seconds: Distribution = field(default_factory=lambda: Distribution(SECONDS))
    scores: dict[str, Distribution] = field(default_factory=dict)
    failed_loads: int = 0

    def add(self, scored: Scored, seconds: float) -> None:
        """Count a batch."""
        self.rows += scored.rows
        self.batches.add_one(scored.rows)
        self.seconds.add_one(seconds)
        for name, rows in scored.unknown.items():
            self.unknown[name] += int(rows.sum())
        for name, values in scored.outputs.items():
            if name not in self.scores:
                between = bool(((values >= 0) & (values <= 1)).all())
                self.scores[name] = Distribution(PROBABILITIES if between else VALUES)
            self.scores[name].add(values)
