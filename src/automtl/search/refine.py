"""After the search: the derived architecture against itself with another pooling, trained on their own.

In a supernet all poolings feed the same layers, and one that is large and has no parameters (the sum) wins before the
linear map has learned; trained alone the order is another. Few retrainings on the subset of rows settle it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from automtl.data.batch import Batch
from automtl.models.network import build
from automtl.operations import Operation
from automtl.search.base import SearchProblem
from automtl.space.architecture import Architecture
from automtl.training.fit import fit
from automtl.training.progress import Listener, Progress


def finalists(problem: SearchProblem, architecture: Architecture) -> dict[str, Architecture]:
    """The architecture as derived, and with each pooling that every expert of the space may have, in all experts."""
    cells = problem.space.pooling.cells
    common = [option for option in cells[0] if all(option in cell for cell in cells)]
    changed = {f"pooling {option}": with_pooling(architecture, option) for option in common}
    return {"as derived": architecture} | {name: a for name, a in changed.items() if a != architecture}


def with_pooling(architecture: Architecture, pooling: Operation) -> Architecture:
    """The same architecture with one pooling in all experts."""
    return replace(architecture, experts=tuple(replace(expert, pooling=pooling) for expert in architecture.experts))


def refine(
    problem: SearchProblem, architecture: Architecture, train: Batch, valid: Batch, seed: int, listen: Listener
) -> tuple[Architecture, list[dict[str, Any]]]:
    """The finalist that is best on validation rows, and each one's normalised validation loss."""
    candidates = finalists(problem, architecture)
    if len(candidates) == 1:
        return architecture, []
    tried: list[dict[str, Any]] = []
    best, best_score = architecture, float("inf")
    for name, candidate in candidates.items():
        network = build(problem.space.narrow(candidate), problem.layout, problem.network, seed)
        result = fit(network, train, valid, problem.layout.tasks, problem.training, seed)
        tried.append({"name": name, "score": result.score})
        if result.score < best_score:
            best, best_score = candidate, result.score
        check = result.checks[result.best]
        listen(Progress("comparing poolings", len(tried), len(candidates), check.loss, check.auc, (name,)))
    return best, tried
