"""The whole state of a differentiable search in one object that can be written and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from automtl.features.batch import Batch
from automtl.models.supernet import Supernet
from automtl.search.early_stopping import OperationStopping
from automtl.search.settings import SearchSettings
from automtl.space.space import Places, SearchSpace


class Cycle:
    """Batches without end: all rows in a random order, then in another. Its place is two numbers."""

    def __init__(self, rows: Batch, size: int, seed: int) -> None:
        self.rows, self.size, self.seed = rows, min(size, len(rows)), seed
        self.per_epoch = max(len(rows) // self.size, 1)
        self.epoch, self.order = -1, torch.zeros(0, dtype=torch.long)

    def batch(self, step: int) -> Batch:
        """The batch of step `step`, whatever was asked before."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self.epoch, self.order = epoch, torch.randperm(len(self.rows), generator=generator)
        return self.rows.take(self.order[place * self.size : (place + 1) * self.size])


@dataclass
class SearchState:
    """`step` counts finished steps. Batches are a function of the step, so no generator needs saving."""

    supernet: Supernet
    weights: torch.optim.Optimizer
    alpha: torch.optim.Optimizer
    beta: torch.optim.Optimizer
    stopping: OperationStopping
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def new(supernet: Supernet, settings: SearchSettings) -> SearchState:
        """Fresh optimizers: weights, architecture and selection are told apart by module."""
        return SearchState(
            supernet,
            weight_optimizer(supernet, settings),
            torch.optim.Adam(
                supernet.logits.parameters(), lr=settings.architecture_learning_rate, betas=(0.5, 0.999),
                weight_decay=settings.architecture_weight_decay,
            ),
            torch.optim.Adam(supernet.selection.parameters(), lr=settings.selection_learning_rate),
            OperationStopping(supernet.network.placed(), settings),
        )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name, copied: weights, logits, optimizer moments, gradient statistics."""
        found = {f"supernet.{name}": value for name, value in self.supernet.state_dict().items()}
        found |= {f"stopping.{name}": value for name, value in self.stopping.tensors().items()}
        for title, optimizer in self._optimizers().items():
            for index, moments in optimizer.state_dict()["state"].items():
                for name, value in moments.items():
                    if isinstance(value, Tensor):
                        found[f"{title}.{index}.{name}"] = value
        return {name: value.detach().clone() for name, value in found.items()}

    def clear(self) -> None:
        """Forget all gradients. Optimizers hold the parameters in a list, where modules would have to be walked."""
        for optimizer in self._optimizers().values():
            optimizer.zero_grad()

    def keep(self, kept: Places) -> None:
        """Narrow the supernet to these options of each choice; optimizers and statistics go with what is left."""
        old = dict(self.supernet.logits.alpha.items())
        self.supernet.prune(kept)
        self.stopping = self.stopping.keep(self.supernet.network.placed())
        left = set(map(id, self.supernet.network.parameters()))
        for group in self.weights.param_groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) in left]
        for parameter in [p for p in self.weights.state if id(p) not in left]:
            del self.weights.state[parameter]
        for name, before in old.items():
            after, places = self.supernet.logits.alpha[name], kept[name]
            moments = self.alpha.state.pop(before, {})
            self.alpha.state[after] = {
                name: value[:, list(places)] if value.shape == before.shape else value
                for name, value in moments.items()
            }
        self.alpha.param_groups[0]["params"] = list(self.supernet.logits.alpha.values())

    def plain(self) -> dict[str, Any]:
        """What is left: what is still open, counters and history, for JSON."""
        return {
            "step": self.step, "checks": self.stopping.checks, "past": self.stopping.past, "history": self.history,
            "options": option_names(self.supernet.space),
        }  # fmt: skip

    def restore(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Put back what `tensors` and `plain` gave, into a state made with the same settings."""
        own = option_names(self.supernet.space)
        if own != plain["options"]:
            self.keep({name: [own[name].index(option) for option in some] for name, some in plain["options"].items()})
        self.stopping.past = list(plain["past"])
        prefix = "supernet."
        self.supernet.load_state_dict({n[len(prefix) :]: v for n, v in tensors.items() if n.startswith(prefix)})
        with torch.no_grad():
            for name, value in self.stopping.tensors().items():
                value.copy_(tensors[f"stopping.{name}"])
        for title, optimizer in self._optimizers().items():
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in tensors.items():
                if name.startswith(f"{title}."):
                    _, index, key = name.split(".")
                    state.setdefault(int(index), {})[key] = value.clone()
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.step, self.stopping.checks = plain["step"], plain["checks"]
        self.history = list(plain["history"])

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"weights": self.weights, "alpha": self.alpha, "beta": self.beta}


def option_names(space: SearchSpace) -> dict[str, list[str]]:
    """The options of each choice of a uniform space, by its name."""
    return {name: [str(option) for option in choice.options] for name, choice in space.choices.items()}


def weight_optimizer(supernet: Supernet, settings: SearchSettings) -> torch.optim.Optimizer:
    """SGD with momentum, as published, or Adam, which learns enough in a few hundred steps."""
    parameters, rate, decay = supernet.network.parameters(), settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay)
    return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
