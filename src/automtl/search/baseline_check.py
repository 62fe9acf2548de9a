"""The baseline check: short trainings that compare a found architecture with experts made by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from automtl.features.batch import subset
from automtl.models.network import build
from automtl.operations import Identity, Operation
from automtl.search.base import SearchProblem, SearchResult
from automtl.space.architecture import Architecture
from automtl.space.space import SearchSpace
from automtl.system.progress import Callback, Progress
from automtl.training.fit import fit

VALID_ROWS = 50_000


def check_against_baseline(
    found: SearchResult, pooling: Operation, layers: Sequence[Operation], max_rows: int, problem: SearchProblem,
    seed: int, callback: Callback,
) -> SearchResult:  # fmt: skip
    """The best of `alternatives` on validation rows after an epoch of half the rows, at most `max_rows`.

    A supernet ranks what learns fast before what learns well. The networks start from the embedding of the problem;
    without one a short training tells nothing, and the architecture stays as it was found. Batches are half as large as
    those of a whole training: as many steps tell more than as many rows.
    """
    start = time.perf_counter()
    made = alternatives(found.architecture, problem.space, pooling, layers)
    if problem.embedding is None or not max_rows or len(made) < 2:
        return replace(found, history=found.history | {"trials": []})
    train = subset(problem.train, min(max_rows, max(len(problem.train) // 2, 1)), seed)
    valid = subset(problem.valid, VALID_ROWS, seed)
    training = replace(problem.training, epochs=1, batch_size=max(problem.training.batch_size // 2, 1))
    trials: list[dict[str, Any]] = []
    for number, (architecture, name) in enumerate(made.items(), start=1):
        network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
        network.embedding.load_state_dict(problem.embedding.state_dict())
        result = fit(network, train, valid, problem.layout.tasks, training, seed)
        trials.append({"name": name, "score": result.score, "architecture": architecture.to_dict()})
        best = result.checks[result.best]
        callback(Progress("trials", number, len(made), best.loss, best.auc, (name,)))
    scores = [trial["score"] for trial in trials]
    chosen = list(made)[scores.index(min(scores))]
    seconds = found.seconds + time.perf_counter() - start
    kept = found.supernet if chosen == found.architecture else None
    return SearchResult(chosen, seconds, found.history | {"trials": trials}, kept)


def alternatives(
    found: Architecture, space: SearchSpace, pooling: Operation, layers: Sequence[Operation]
) -> dict[Architecture, str]:
    """The found architecture, then with baseline poolings, with baseline layers, too, and without interactions, too.

    Parts that the space does not have are left as found; what comes out twice is there once.
    """
    pooled = _with(found, pooling if all(pooling in cell for cell in space.pooling.cells) else None, None)
    baseline = _with(pooled, None, _layers(space, layers))
    made = {found: "as found"}
    made.setdefault(pooled, "baseline poolings")
    made.setdefault(baseline, "baseline poolings and layers")
    if all(Identity() in cell for cell in space.interaction.cells):
        made.setdefault(replace(baseline, interaction=Identity()), "baseline without interactions")
    return made


def _layers(space: SearchSpace, layers: Sequence[Operation]) -> tuple[Operation, ...] | None:
    """One operation a layer; None where the space lacks one."""
    made = (*layers, *[Identity()] * len(space.layers))[: len(space.layers)]
    fits = all(one in cell for one, choice in zip(made, space.layers, strict=True) for cell in choice.cells)
    return made if fits else None


def _with(found: Architecture, pooling: Operation | None, layers: tuple[Operation, ...] | None) -> Architecture:
    """The architecture with this pooling and these layers in every expert; None: its own."""
    experts = (
        replace(expert, pooling=pooling or expert.pooling, layers=layers or expert.layers) for expert in found.experts
    )
    return replace(found, experts=tuple(experts))
