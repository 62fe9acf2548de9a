"""The whole state of a search by gradients in one object that can be written and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from automtl.features.batch import Batch
from automtl.models.supernet import Supernet
from automtl.search.candidates import Candidates
from automtl.search.early_stopping import OperationStopping
from automtl.search.procedure import Procedure
from automtl.search.settings import DifferentiableSettings
from automtl.space.space import SearchSpace
from automtl.system.journal import below, load_optimizer, optimizer_tensors, under

MOMENTUM = 0.9  # of SGD
ARCHITECTURE_BETAS, ARCHITECTURE_DECAY = (0.5, 0.999), 1e-6  # of Adam, which moves alpha


class EndlessBatches:
    """Batches without end: all rows in a random order, then in another one."""

    def __init__(self, rows: Batch, size: int, seed: int) -> None:
        self.rows, self.size, self.seed = rows, min(size, len(rows)), seed
        self.per_epoch = max(len(rows) // self.size, 1)
        self.epoch, self.order = -1, torch.zeros(0, dtype=torch.long)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, whatever was asked before."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.rows), generator=generator)
            self.epoch, self.order = epoch, order.to(self.rows.labels.device)
        return self.rows.take(self.order[place * self.size : (place + 1) * self.size])


@dataclass
class SearchState:
    """A search after `step` steps. The step alone decides its batch, so that no generator needs saving."""

    supernet: Supernet
    weights: torch.optim.Optimizer
    alpha: torch.optim.Optimizer
    beta: torch.optim.Optimizer
    stopping: OperationStopping
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def new(supernet: Supernet, settings: DifferentiableSettings, procedure: Procedure) -> SearchState:
        """Make the state before the first step, with an optimizer each for weights, alpha and beta."""
        alpha = torch.optim.Adam(
            supernet.logits.parameters(), settings.architecture_learning_rate, ARCHITECTURE_BETAS,
            weight_decay=ARCHITECTURE_DECAY,
        )  # fmt: skip
        beta = torch.optim.Adam(supernet.selection.parameters(), settings.selection_learning_rate)
        stopping = OperationStopping(supernet.network.placed(), procedure)
        return SearchState(supernet, weight_optimizer(supernet, settings), alpha, beta, stopping)

    def clear_gradients(self) -> None:
        """Forget all gradients. Optimizers hold the parameters in a list, where modules would have to be walked."""
        for optimizer in self._optimizers().values():
            optimizer.zero_grad()

    def move_weights(self, learning_rate: float) -> None:
        """Take a step of the weights' optimizer, which does not move operations that are stopped."""
        (group,) = self.weights.param_groups
        group["lr"] = learning_rate
        with self.stopping.frozen():
            self.weights.step()

    def prune(self, kept: Candidates) -> None:
        """Prune the supernet to these candidates of each choice; optimizers and statistics go with what is left."""
        old = dict(self.supernet.logits.alpha.items())
        self.supernet.prune(kept)
        self.stopping = self.stopping.pruned(self.supernet.network.placed())
        left = set(map(id, self.supernet.network.parameters()))
        (group,) = self.weights.param_groups
        group["params"] = [parameter for parameter in group["params"] if id(parameter) in left]
        for parameter in [p for p in self.weights.state if id(p) not in left]:
            del self.weights.state[parameter]
        for choice, before in old.items():
            self.alpha.state[self.supernet.logits.alpha[choice]] = {
                name: value[:, list(kept[choice])] if value.shape == before.shape else value
                for name, value in self.alpha.state.pop(before, {}).items()
            }
        self.alpha.param_groups[0]["params"] = list(self.supernet.logits.alpha.values())

    def tensors(self) -> dict[str, Tensor]:
        """Copy every tensor of the state by name: weights, logits, optimizer moments, gradient statistics."""
        found = under("supernet", self.supernet.state_dict()) | under("stopping", self.stopping.tensors())
        for title, optimizer in self._optimizers().items():
            found |= under(title, optimizer_tensors(optimizer))
        return {name: value.detach().clone() for name, value in found.items()}

    def learned(self) -> dict[str, Tensor]:
        """Copy the tensors of the state by name, but the moments of the optimizers, which begin anew without them."""
        found = under("supernet", self.supernet.state_dict()) | under("stopping", self.stopping.tensors())
        return {name: value.detach().clone() for name, value in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return what is not a tensor, for JSON: the candidates that are left, counters and history."""
        return {
            "step": self.step, "options": option_names(self.supernet.space), "past": list(self.stopping.past),
            "history": list(self.history),
        }  # fmt: skip

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Put back what `tensors` and `to_dict` gave, into a state made with the same settings."""
        own = option_names(self.supernet.space)
        if own != values["options"]:
            self.prune({name: tuple(map(own[name].index, some)) for name, some in values["options"].items()})
        self.supernet.load_state_dict(below("supernet", tensors))
        self.stopping.load(below("stopping", tensors))
        for title, optimizer in self._optimizers().items():
            load_optimizer(optimizer, below(title, tensors))
        self.step, self.stopping.past, self.history = values["step"], list(values["past"]), list(values["history"])

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"weights": self.weights, "alpha": self.alpha, "beta": self.beta}


def option_names(space: SearchSpace) -> dict[str, list[str]]:
    """List the names of the candidates of each choice."""
    return {name: [str(option) for option in choice.options] for name, choice in space.choices.items()}


def weight_optimizer(supernet: Supernet, settings: DifferentiableSettings) -> torch.optim.Optimizer:
    """Make SGD with momentum, as published, or Adam, which learns enough in a few hundred steps."""
    parameters, rate, decay = supernet.network.parameters(), settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, MOMENTUM, weight_decay=decay)
    return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)
