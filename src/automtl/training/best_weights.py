"""The weights with which a model, or each of its independent parts, was best on validation rows. T tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from automtl.system.journal import below
from automtl.training.evaluation import Evaluation
from automtl.training.hooks import HasParts, Part


class BestPart:
    """Keeps the weights of one part at its best evaluation. `weights`: those of all tasks, (T,).

    `at`: rows; the best evaluation is then the one after a number of rows that is nearest to it.
    """

    def __init__(self, part: Part, weights: Tensor, at: int | None = None) -> None:
        self.module, self.tasks, self.weights = part.module, list(part.tasks), weights[list(part.tasks)]
        self.at = at
        self.score, self.best, self.evaluations = float("nan"), 0, 0
        self.values = _copied(self.module, {})  # the first weights, until an evaluation is known

    def look(self, evaluation: Evaluation) -> None:
        """Keep the present weights if no earlier evaluation was better for the tasks of this part."""
        if self.at is None:
            score = float(torch.tensor(list(evaluation.task_scores.values()))[self.tasks] @ self.weights)
        else:
            score = abs(evaluation.rows - self.at)
        if self.evaluations == 0 or score < self.score:
            self.score, self.best = score, self.evaluations
            self.values = _copied(self.module, self.values)
        self.evaluations += 1

    def to_dict(self) -> dict[str, Any]:
        """Return what is no tensor, as plain values."""
        return {"score": self.score, "best": self.best, "evaluations": self.evaluations}

    def load(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `to_dict` gave, and weights by name."""
        self.score, self.best, self.evaluations = values["score"], values["best"], values["evaluations"]
        if self.evaluations:
            self.values = dict(tensors)

    @property
    def waited(self) -> int:
        """Number of evaluations since the best one."""
        return self.evaluations - 1 - self.best


class BestWeights:
    """Keeps the best weights of all independent parts of a model; most models are one part.

    `at`: for each part, the rows after which its weights are to be kept; None: where they are best.
    """

    def __init__(self, model: nn.Module, weights: Tensor, at: Sequence[int] | None = None) -> None:
        parts = model.independent_parts() if isinstance(model, HasParts) else [Part(model, tuple(range(len(weights))))]
        rows = [None] * len(parts) if at is None else at
        self.parts = [BestPart(part, weights, one) for part, one in zip(parts, rows, strict=True)]

    def look(self, evaluation: Evaluation) -> None:
        """Keep the present weights of the parts for which this evaluation is the best so far."""
        for part in self.parts:
            part.look(evaluation)

    @property
    def waited(self) -> int:
        """Number of evaluations since any part was at its best."""
        return min(part.waited for part in self.parts)

    @property
    def best_of_parts(self) -> tuple[int, ...]:
        """Index of the best evaluation of each part."""
        return tuple(part.best for part in self.parts)

    @property
    def best(self) -> int | None:
        """Index of the best evaluation; None where parts have different ones."""
        found = set(self.best_of_parts)
        return found.pop() if len(found) == 1 else None

    def to_dict(self) -> list[dict[str, Any]]:
        """Return what is no tensor, as plain values."""
        return [part.to_dict() for part in self.parts]

    def tensors(self) -> dict[str, Tensor]:
        """Return the best weights so far by the number of the part and their name; none before an evaluation."""
        known = [(place, part) for place, part in enumerate(self.parts) if part.evaluations]
        return {f"{place}.{name}": one for place, part in known for name, one in part.values.items()}

    def load(self, values: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `to_dict` and `tensors` gave."""
        for place, (part, own) in enumerate(zip(self.parts, values, strict=True)):
            part.load(own, below(str(place), tensors))

    def restore(self) -> None:
        """Give the model its best weights; before an evaluation, its first ones."""
        for part in self.parts:
            part.module.load_state_dict(part.values)

    def clear(self) -> None:
        """Give back the memory of the weights that are kept."""
        for part in self.parts:
            part.values = {}


@torch.no_grad()
def _copied(module: nn.Module, kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy the weights of a module, into those that are kept where that can be."""
    found = {}
    for name, value in module.state_dict().items():
        room = kept.get(name)
        same = room is not None and (room.device, room.shape, room.dtype) == (value.device, value.shape, value.dtype)
        found[name] = room.copy_(value) if room is not None and same else value.detach().clone()
    return found
