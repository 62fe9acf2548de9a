"""Short trainings that hold a found architecture against experts made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from automtl.features.batch import subset
from automtl.models.network import build
from automtl.operations import Block, Identity, Operation, operation
from automtl.search.base import SearchProblem
from automtl.search.settings import SearchSettings
from automtl.space.architecture import Architecture
from automtl.space.names import INTERACTION, POOLING, block_of
from automtl.space.space import SearchSpace
from automtl.system.progress import Callback, Progress
from automtl.training.fit import fit

VALID_ROWS = 50_000


def held_against_plain(
    found: Architecture, problem: SearchProblem, settings: SearchSettings, seed: int, callback: Callback
) -> tuple[Architecture, list[dict[str, Any]]]:
    """The best of `alternatives` on validation rows after an epoch of half the rows, and all scores.

    A supernet ranks what learns fast before what learns well. The networks start from the lent embedding; without one
    a short training tells nothing, and the architecture stays as it was found. Batches are half as large as those of a
    whole training: as many steps tell more than as many rows.
    """
    known = alternatives(found, problem.space, settings) if settings.trial_rows else {}
    if problem.embedding is None or not settings.lent_embedding or len(known) < 2:
        return found, []
    rows = min(settings.trial_rows, max(len(problem.train) // 2, 1))
    train, valid = subset(problem.train, rows, seed), subset(problem.valid, VALID_ROWS, seed)
    training = replace(problem.training, epochs=1, batch_size=max(problem.training.batch_size // 2, 1))
    trials: list[dict[str, Any]] = []
    for number, (architecture, name) in enumerate(known.items(), start=1):
        network = build(problem.space.narrow(architecture), problem.layout, problem.network, seed)
        network.embedding.load_state_dict(problem.embedding.state_dict())
        result = fit(network, train, valid, problem.layout.tasks, training, seed)
        trials.append({"name": name, "score": result.score, "architecture": architecture.to_dict()})
        best = result.evaluations[result.best]
        callback(Progress("trials", number, len(known), best.loss, best.auc, (name,)))
    scores = [trial["score"] for trial in trials]
    return list(known)[scores.index(min(scores))], trials


def check_plain(settings: SearchSettings) -> None:
    """Raises SpaceError, before any work, where a plain part is no operation."""
    for text in (settings.plain_pooling, *settings.plain_layers):
        operation(text)


def alternatives(found: Architecture, space: SearchSpace, settings: SearchSettings) -> dict[Architecture, str]:
    """The found architecture, then with plain poolings, with plain layers, too, and without interactions, too.

    Parts that the space does not have are left as found; what comes out twice is there once.
    """
    pooling = {POOLING: operation(settings.plain_pooling)}
    pooled = _with(found, pooling if _fits(pooling, space) else {})
    plain = _with(pooled, _plain_layers(space, settings))
    made = {found: "as found"}
    made.setdefault(pooled, "plain poolings")
    made.setdefault(plain, "plain poolings and layers")
    skip = {INTERACTION: Identity()}
    if _fits(skip, space):
        made.setdefault(_with(plain, skip), "the same without interactions")
    return made


def _plain_layers(space: SearchSpace, settings: SearchSettings) -> dict[str, Operation]:
    """One operation a layer, by the layer's name; nothing where the space lacks one."""
    names = [name for name in space.choices if block_of(name) is Block.LAYER]
    texts = chain(settings.plain_layers, repeat("skip"))
    plain = {name: operation(text) for name, text in zip(names, texts, strict=False)}
    return plain if _fits(plain, space) else {}


def _fits(plain: Mapping[str, Operation], space: SearchSpace) -> bool:
    """Whether these operations are options of all cells of their choices."""
    return all(made in cell for name, made in plain.items() for cell in space[name].cells)


def _with(found: Architecture, plain: Mapping[str, Operation]) -> Architecture:
    """The architecture with these operations, by the choice's name, in every cell."""
    changed = {name: (made,) * len(found[name]) for name, made in plain.items()}
    return replace(found, choices={**found.choices, **changed})
