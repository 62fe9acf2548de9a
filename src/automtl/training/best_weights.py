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
    """Keeps the weights of one part at its best evaluation. `weights`: those of all tasks, (T,)."""

    def __init__(self, part: Part, weights: Tensor) -> None:
        self.module, self.tasks, self.weights = part.module, list(part.tasks), weights[list(part.tasks)]
        self.score, self.best, self.evaluations = float("nan"), 0, 0
        self.values: dict[str, Tensor] = {}

    def look(self, evaluation: Evaluation) -> None:
        """Keep the present weights if no earlier evaluation was better for the tasks of this part."""
        score = float(torch.tensor(list(evaluation.task_scores.values()))[self.tasks] @ self.weights)
        if self.evaluations == 0 or score < self.score:
            self.score, self.best = score, self.evaluations
            self.values = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self.evaluations += 1

    def to_dict(self) -> dict[str, Any]:
        """Return what is no tensor, as plain values."""
        return {"score": self.score, "best": self.best, "evaluations": self.evaluations}

    def load(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `to_dict` gave, and weights by name."""
        self.score, self.best, self.evaluations = values["score"], values["best"], values["evaluations"]
        self.values = dict(tensors)

    @property
    def waited(self) -> int:
        """Number of evaluations since the best one."""
        return self.evaluations - 1 - self.best


class BestWeights:
    """Keeps the best weights of all independent parts of a model; most models are one part."""

    def __init__(self, model: nn.Module, weights: Tensor) -> None:
        parts = model.independent_parts() if isinstance(model, HasParts) else [Part(model, tuple(range(len(weights))))]
        self.parts = [BestPart(part, weights) for part in parts]

    def look(self, evaluation: Evaluation) -> None:
        """Keep the present weights of the parts for which this evaluation is the best so far."""
        for part in self.parts:
            part.look(evaluation)

    @property
    def waited(self) -> int:
        """Number of evaluations since any part was at its best."""
        return min(part.waited for part in self.parts)

    @property
    def best(self) -> int | None:
        """Index of the best evaluation; None where parts have different ones."""
        found = {part.best for part in self.parts}
        return found.pop() if len(found) == 1 else None

    def to_dict(self) -> list[dict[str, Any]]:
        """Return what is no tensor, as plain values."""
        return [part.to_dict() for part in self.parts]

    def tensors(self) -> dict[str, Tensor]:
        """Return the best weights so far by the number of the part and their name."""
        return {f"{place}.{name}": one for place, part in enumerate(self.parts) for name, one in part.values.items()}

    def load(self, values: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `to_dict` and `tensors` gave."""
        for place, (part, own) in enumerate(zip(self.parts, values, strict=True)):
            part.load(own, below(str(place), tensors))

    def restore(self) -> None:
        """Give the model its best weights."""
        for part in self.parts:
            part.module.load_state_dict(part.values)
            part.values = {}
