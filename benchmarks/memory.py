"""Memory of a search and of a training: a formula, how well it predicts what was measured, and whether it grows.

    python benchmarks/memory.py
    python benchmarks/memory.py --epochs 6

The memory that a step takes beside the process is

    bytes = base + a * W + b * S

W: the bytes of all weights. S: the bytes that the graph of one step keeps for its gradients; they grow with the rows of
a batch and are counted here by a step of few rows. The three numbers are fitted for each kind of step on the points
that `benchmarks/curves.py` measured (benchmarks/results/curves.json), each in a process of its own, and printed beside
the errors. Then each kind runs over its rows again and again, and the peak after each epoch is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import torch

import curves
from automtl.system.memory import peak_memory_bytes
from common import arguments, report
from curves import KINDS, RUNS, Point

FEW = 128  # rows of the batch whose graph is counted
STEPS = 14  # in which a progressive search takes all its turns
BATCHES = 12  # of an epoch
MIB = 2**20


class Kept:
    """A tensor that a graph keeps; counts the bytes of all that are alive, each storage once."""

    alive: ClassVar[dict[int, int]] = {}
    weights: frozenset[int] = frozenset()
    total = peak = 0

    def __init__(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        self.tensor, self.place, self.size = tensor, storage.data_ptr(), storage.nbytes()
        Kept._count(self.place, self.size, 1)

    def __del__(self) -> None:
        Kept._count(self.place, self.size, -1)

    @classmethod
    def _count(cls, place: int, size: int, change: int) -> None:
        if place in cls.weights:
            return
        before = cls.alive.get(place, 0)
        cls.alive[place] = before + change
        if before == 0 or before + change == 0:
            cls.total += size * change
            cls.peak = max(cls.peak, cls.total)


def sizes(kind: str, point: Point) -> tuple[float, float]:
    """W and S of a kind of step at a point, in MiB."""
    run = RUNS[kind][2](replace(point, rows=FEW))
    held = dict(zip(run.__code__.co_freevars, (cell.cell_contents for cell in run.__closure__ or ()), strict=True))
    model = held["model"] if "model" in held else held["run"].state.supernet
    Kept.alive, Kept.total, Kept.peak = {}, 0, 0
    for _ in range(STEPS if kind == "progressive" else 2):
        Kept.weights = frozenset(one.untyped_storage().data_ptr() for one in model.parameters())
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            run()
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    return weights / MIB, Kept.peak / FEW * point.rows / MIB


def fitted(kind: str) -> dict[str, Any]:
    """Fit the three numbers of a kind on all points that were measured; relative errors."""
    points = [
        (replace(Point(), **{axis: int(one[axis])}), one["megabytes"])
        for axis, found in curves.read_results().items()
        for one in found[kind]["points"]
    ]
    terms = np.array([(1.0, *sizes(kind, point)) for point, _ in points])
    measured = np.array([megabytes for _, megabytes in points])
    numbers = np.linalg.lstsq(terms / measured[:, None], np.ones(len(points)), rcond=None)[0]
    errors = np.abs(terms @ numbers / measured - 1)
    base, weights, graph = numbers.round(2).tolist()
    worst, median = errors.max().round(3), np.median(errors).round(3)
    print(
        f"{KINDS[kind]:30}{base:>7.0f} MB + {weights:.1f} W + {graph:.2f} S   error {median:.1%}, at most {worst:.1%}"
    )
    return {"base": base, "weights": weights, "graph": graph, "median": float(median), "worst": float(worst)}


def peaks(kind: str, epochs: int) -> list[float]:
    """Peak of the process after each epoch of a kind of step, MiB."""
    run = RUNS[kind][2](Point())
    found = []
    for _ in range(epochs):
        for _ in range(BATCHES):
            run()
        found.append(round(peak_memory_bytes() / MIB, 1))
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--peaks", help="only print the peaks of this kind, as JSON: what a process is started for")
    chosen = parser.parse_args()
    if chosen.peaks:
        print(json.dumps(peaks(chosen.peaks, chosen.epochs)))
        return
    formulas = {kind: fitted(kind) for kind in chosen.kinds}
    flat = {}
    for kind in chosen.kinds:
        command = [sys.executable, __file__, "--peaks", kind, "--epochs", str(chosen.epochs)]
        flat[kind] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{KINDS[kind]:30}peak after each epoch of {BATCHES} batches: {flat[kind]} MB")
    report("memory", {"formulas": formulas, "peaks": flat, "point": asdict(Point())}, chosen.out)


if __name__ == "__main__":
    main()
