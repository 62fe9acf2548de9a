"""A leaderboard as a fit writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def leaderboard_rows(tasks: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """An ensemble of the first and third candidate, then all candidates, of which the last was not tested."""
    shares = [0.6, 0.0, 0.4]
    ensemble = _row("ensemble", "ensemble", tasks, 0.91, 1.0) | {"latency_ms": 1.42, "parameters": 4_000_000}
    rows = [
        _row(name, "halving", tasks, 0.92 + place / 100, shares[place] if place < len(shares) else 0.0)
        for place, name in enumerate(names)
    ]
    last = rows.pop() | {"test": None}
    return [ensemble, *rows, last]


def _row(name: str, stage: str, tasks: Sequence[str], score: float, share: float) -> dict[str, Any]:
    return {
        "name": name, "model": "automtl", "stage": stage, "score": score, "seconds": 12.25, "latency_ms": 0.31,
        "validation": dict.fromkeys(tasks, 0.75 - score / 100), "test": dict.fromkeys(tasks, 0.74 - score / 100),
        "flops_per_row": 1_200_000, "parameters": 243_152, "share": dict.fromkeys(tasks, share),
        "settings": {"training.learning_rate": 0.001, "network.dropout": 0.3},
    }  # fmt: skip
