"""The baseline check: short trainings that compare a found architecture with experts made by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from automtl.errors import DivergedError
from automtl.features.batch import subset
from automtl.models.network import build
from automtl.operations import Block, Identity, Operation
from automtl.search.base import SearchProblem, SearchResult
from automtl.space.architecture import Architecture
from automtl.space.names import INTERACTION, POOLING, block_of
from automtl.space.space import SearchSpace
from automtl.system.progress import Callback, Notice, Progress
from automtl.training.fit import fit

VALID_ROWS = 50_000


def check_against_baseline(
    found: SearchResult, baseline: Mapping[str, Operation], max_rows: int, problem: SearchProblem, seed: int,
    callback: Callback,
) -> SearchResult:  # fmt: skip
    """Choose the best of `alternatives` on validation rows after an epoch of half the rows, at most `max_rows`.

    A supernet ranks what learns fast before what learns well. The networks start from the embedding of the problem;
    without one a short training tells nothing, and the architecture stays as it was found. Batches are half as large as
    those of a whole training: as many steps tell more than as many rows.
    """
    start = time.perf_counter()
    made = alternatives(found.architecture, problem.space, baseline)
    if problem.embedding is None or not max_rows or len(made) < 2:
        return replace(found, history=found.history | {"trials": []})
    train = subset(problem.train, min(max_rows, max(len(problem.train) // 2, 1)), seed)
    valid = subset(problem.valid, VALID_ROWS, seed)
    training = replace(problem.training, epochs=1, batch_size=max(problem.training.batch_size // 2, 1))
    trials: list[dict[str, Any]] = []
    tried: list[Architecture] = []
    for number, (architecture, name) in enumerate(made.items(), start=1):
        network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
        network.embedding.load_state_dict(problem.embedding.state_dict())
        try:
            result = fit(network, train, valid, problem.layout.tasks, training, seed)
        except DivergedError as error:
            callback(Notice(f"baseline check, {name}: {error}; left out"))
            continue
        tried.append(architecture)
        trials.append({"name": name, "score": result.score, "architecture": architecture.to_dict()})
        best = result.evaluations[result.best]
        callback(Progress("trials", number, len(made), best.loss, best.auc, (name,)))
    scores = [trial["score"] for trial in trials]
    chosen = tried[scores.index(min(scores))] if tried else found.architecture
    seconds = found.seconds + time.perf_counter() - start
    kept = found.supernet if chosen == found.architecture else None
    return SearchResult(chosen, seconds, found.history | {"trials": trials}, kept)


def alternatives(found: Architecture, space: SearchSpace, baseline: Mapping[str, Operation]) -> dict[Architecture, str]:
    """Replace parts of an architecture: poolings by the baseline's, then layers, too, then interactions by skips.

    `baseline`: an operation for all cells of a choice, by its name. Poolings, and all layers together, stay as found
    where the space does not have the baseline's; equal alternatives are kept once.
    """
    pooled = _with(found, {POOLING: baseline[POOLING]}, space)
    layered = _with(pooled, {name: made for name, made in baseline.items() if block_of(name) is Block.LAYER}, space)
    skipped = _with(layered, {INTERACTION: Identity()}, space)
    names = ("as found", "baseline poolings", "baseline poolings and layers", "baseline without interactions")
    made: dict[Architecture, str] = {}
    for architecture, name in zip((found, pooled, layered, skipped), names, strict=True):
        made.setdefault(architecture, name)
    return made


def _with(found: Architecture, parts: Mapping[str, Operation], space: SearchSpace) -> Architecture:
    """Put these operations into every cell of their choices; nothing changes where the space lacks one."""
    if not all(made in cell for name, made in parts.items() for cell in space[name].cells):
        return found
    changed = {name: (made,) * len(found[name]) for name, made in parts.items()}
    return replace(found, choices={**found.choices, **changed})
