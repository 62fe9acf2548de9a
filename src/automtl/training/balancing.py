"""How the losses of the tasks become one step (`training.balancing`); the methods are torchjd's. T tasks.

Two kinds: losses are combined to one number (its `scalarization`), or weighted by how the gradients of the tasks agree
(its `aggregation`). All are scaled so that tasks in harmony get the step of the plain weighted mean, which matters for
weight decay and clipping.

`uncertainty`, `famo` and `nash-mtl` find a task's weight whatever the scale of its loss, so that the weights that the
schema gives to tasks count for them only in the choice of the best check; for the others they multiply the losses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.nn.tower import Towers
from automtl.training.rowwise import sum_by_row

BalancingName = Literal["equal", "uncertainty", "dwa", "famo", "pcgrad", "cagrad", "nash-mtl", "upgrad"]


def _ignore(*given: object) -> None:
    """Nothing to learn."""


@dataclass(frozen=True)
class Balancing:
    """Made anew for each training, since some methods learn on the way.

    total: losses (T,) of a batch, 0 for a task without rows in it -> the scalar whose gradient is the step's.
    after_step: is given what computes the losses of the same batch anew. after_epoch: is called after all batches.
    keeps_graph: whether it takes gradients of its own, so that a graph is walked more than once.
    """

    total: Callable[[Tensor], Tensor]
    after_step: Callable[[Callable[[], Tensor]], None] = _ignore
    after_epoch: Callable[[], None] = _ignore
    keeps_graph: bool = False


Maker = Callable[[nn.Module, Tensor, float], Balancing]


def find_balancing(name: BalancingName, model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """A balancing of `model`'s tasks, whose weights (T,) sum to one; one task leaves nothing to balance.

    Raises SettingsError where the extra is not installed.
    """
    if len(weights) == 1:
        return equal(model, weights, learning_rate)
    try:
        return BALANCINGS[name](model, weights, learning_rate)
    except ImportError as error:
        raise SettingsError(
            f"training.balancing '{name}' needs a package that is not installed ({str(error).splitlines()[0]}); "
            "pip install 'automtl[balancing]'"
        ) from None


def equal(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """The mean by the weights of the tasks: MTL-Loss (paper, eq. 1)."""
    return Balancing(lambda losses: losses @ weights)


def uncertainty(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """Learned variances of the tasks (Kendall et al., CVPR 2018), by Adam at the rate of the model."""
    from torchjd.scalarization import UW

    scalarizer, seen = UW(len(weights)).to(weights.device), LastSeen()
    optimizer = torch.optim.Adam(scalarizer.parameters(), lr=learning_rate)

    def after_step(again: Callable[[], Tensor]) -> None:
        optimizer.step()
        optimizer.zero_grad()

    return Balancing(lambda losses: scalarizer(seen(losses)) * (2 / len(weights)), after_step)


def dwa(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """Dynamic weight average of the losses of the last two epochs, temperature 2 (Liu et al., CVPR 2019, eq. 7)."""
    from torchjd.scalarization import DWA

    scalarizer, seen = DWA(temperature=2.0), LastSeen()
    return Balancing(lambda losses: scalarizer(seen(losses) * weights), after_epoch=scalarizer.step)


def famo(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """Fast adaptive multitask optimization (Liu et al., NeurIPS 2023, algorithm 1), which looks twice at a batch."""
    from torchjd.scalarization import FAMO

    scalarizer, seen = FAMO(len(weights)).to(weights.device), LastSeen()

    @torch.no_grad()
    def after_step(again: Callable[[], Tensor]) -> None:
        scalarizer.update(seen(again()))

    return Balancing(lambda losses: scalarizer(seen(losses)), after_step)


def pcgrad(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """Gradients that conflict are projected (Yu et al., NeurIPS 2020, algorithm 1)."""
    from torchjd.aggregation import PCGrad

    return by_gradients(PCGrad().weighting, model, weights, scale=1 / len(weights))


def cagrad(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """The step that is best for the worst task near the mean, c = 0.4 (Liu et al., NeurIPS 2021, algorithm 1)."""
    from torchjd.aggregation import CAGrad

    return by_gradients(CAGrad(c=0.4).weighting, model, weights)


def nash_mtl(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """The tasks bargain (Navon et al., ICML 2022, algorithm 1)."""
    from torchjd.aggregation import NashMTL

    return by_gradients(NashMTL(n_tasks=len(weights)).weighting, model, weights)


def upgrad(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """Gradients projected on what harms no task (Quinton and Rey, 2024, arXiv 2406.16232)."""
    from torchjd.aggregation import UPGrad

    return by_gradients(UPGrad().weighting, model, weights)


BALANCINGS: dict[str, Maker] = {
    "equal": equal, "uncertainty": uncertainty, "dwa": dwa, "famo": famo,
    "pcgrad": pcgrad, "cagrad": cagrad, "nash-mtl": nash_mtl, "upgrad": upgrad,
}  # fmt: skip


class LastSeen:
    """Losses (T,) in which a task without rows in the batch has the loss that it had last, at first 1.

    A loss of 0 has no logarithm, and would be taken for success.
    """

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def __call__(self, losses: Tensor) -> Tensor:
        last = torch.ones_like(losses) if self.last is None else self.last
        found = torch.where(losses != 0, losses, last)
        self.last = found.detach()
        return found


def by_gradients(
    weighting: Callable[[Tensor], Tensor], model: nn.Module, weights: Tensor, scale: float = 1.0
) -> Balancing:
    """Losses are weighted by torchjd's `weighting` of a matrix whose rows have the products of the tasks' gradients.

    A batch in which a task has no rows, so no direction, makes a plain step.
    """
    shared = shared_parameters(model)

    def total(losses: Tensor) -> Tensor:
        values = losses * weights * len(weights)
        if bool((losses == 0).any()):
            return values.mean()
        root = square_root(gradient_products(values, shared))
        with warnings.catch_warnings():  # a solver's remarks on the form of its problem
            warnings.simplefilter("ignore")
            found = weighting(root)
        return values @ found.to(values) * scale

    return Balancing(total, keeps_graph=True)


def shared_parameters(model: nn.Module) -> list[nn.Parameter]:
    """All but those of the towers. What one task alone uses among them (a gate) adds to its own gradient's length."""
    own = {id(each) for module in model.modules() if isinstance(module, Towers) for each in module.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in own]


def gradient_products(values: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """(T, T) inner products of the gradients of each of the values (T,). Leaves the graph as it is."""
    found = [torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True) for value in values]
    products = torch.zeros(len(values), len(values), device=values.device)
    for gradients in zip(*found, strict=True):
        given = [task for task, gradient in enumerate(gradients) if gradient is not None]
        if given:
            rows = torch.stack([_flat(gradients[task]) for task in given])
            products[torch.tensor(given).unsqueeze(1), given] += rows @ rows.T
    return products


def _flat(gradient: Any) -> Tensor:
    """A gradient as a vector; of a table that is moved by rows, those of the batch's rows, which all tasks share."""
    if gradient.is_sparse:
        return sum_by_row(gradient._indices()[0], gradient._values())[1].flatten()
    flat: Tensor = gradient.flatten()
    return flat


def square_root(products: Tensor) -> Tensor:
    """(T, T) inner products -> a matrix (T, T) whose rows have them, but for a scale: they have length 1 on average.

    The methods see gradients through their products alone, so this is as good as the gradients, and much smaller.
    """
    scaled = products.double() / products.diagonal().mean().clamp(min=1e-30)
    values, vectors = torch.linalg.eigh(scaled)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root
