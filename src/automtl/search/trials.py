"""Short trainings that hold a found architecture against experts made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from automtl.features.batch import subset
from automtl.models.network import build
from automtl.operations import Identity, Operation, operation
from automtl.search.base import SearchProblem
from automtl.search.settings import SearchSettings
from automtl.space.architecture import Architecture
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
    pooling, layers = operation(settings.plain_pooling), _plain_layers(space, settings)
    pooled = _with(found, pooling if all(pooling in cell for cell in space.pooling.cells) else None, None)
    plain = _with(pooled, None, layers)
    made = {found: "as found"}
    made.setdefault(pooled, "plain poolings")
    made.setdefault(plain, "plain poolings and layers")
    if all(Identity() in cell for cell in space.interaction.cells):
        made.setdefault(replace(plain, interaction=Identity()), "the same without interactions")
    return made


def _plain_layers(space: SearchSpace, settings: SearchSettings) -> tuple[Operation, ...] | None:
    """One operation a layer; None where the space lacks one."""
    plain = [operation(text) for text in settings.plain_layers][: len(space.layers)]
    plain += [Identity()] * (len(space.layers) - len(plain))
    fits = all(made in cell for made, choice in zip(plain, space.layers, strict=True) for cell in choice.cells)
    return tuple(plain) if fits else None


def _with(found: Architecture, pooling: Operation | None, layers: tuple[Operation, ...] | None) -> Architecture:
    """The architecture with this pooling and these layers in every expert; None: its own."""
    experts = (
        replace(expert, pooling=pooling or expert.pooling, layers=layers or expert.layers) for expert in found.experts
    )
    return replace(found, experts=tuple(experts))
