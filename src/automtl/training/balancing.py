"""Ways to make one step of the losses of T tasks (`training.balancing`); the methods are torchjd's.

There are two kinds: losses are combined to one number (torchjd's `scalarization`), or weighted by how the gradients of
the tasks agree (its `aggregation`). All are scaled so that tasks that agree get the step of the weighted mean, which
matters for weight decay and clipping.

`uncertainty`, `famo` and `nash-mtl` find a task's weight whatever the scale of its loss, so that the weights that the
schema gives to tasks count for them only in the choice of the best evaluation; for the others they multiply the losses.

A balancing of your own is a function (model, weights, learning_rate) -> Balancing, named by its import path.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.nn.tower import Towers
from automtl.system.workers import workers
from automtl.training.rowwise import sum_by_row
from automtl.training.settings import BALANCINGS, TrainingSettings

UNDER_GPL = ("nash-mtl", "upgrad")  # their solvers (ecos, quadprog) are; so they have an extra of their own


def _nothing(*_: object) -> None:
    """Learn nothing."""


@dataclass(frozen=True)
class Balancing:
    """One training's way to weigh the tasks; some learn on the way.

    total: the losses (T,) of a batch, 0 for a task without rows in it -> the scalar whose gradient is the step's.
    after_step: is called with a function that computes the losses of the same batch anew.
    after_epoch: is called after all batches of an epoch.
    keeps_graph: whether `total` takes gradients of its own, so that a graph is walked more than once.
    remembers: whether a step depends on the ones before; a training that was stopped then starts anew.
    """

    total: Callable[[Tensor], Tensor]
    after_step: Callable[[Callable[[], Tensor]], None] = _nothing
    after_epoch: Callable[[], None] = _nothing
    keeps_graph: bool = False
    remembers: bool = True


def find_balancing(settings: TrainingSettings, model: nn.Module, weights: Tensor) -> Balancing:
    """Make the balancing of the settings for a model whose tasks have these weights (T,), which sum to one.

    One task leaves nothing to balance. Raises SettingsError where the balancing is unknown, where its package is not
    installed, or where it takes several gradients of a compiled model.
    """
    name, make = settings.balancing, BALANCINGS.find(settings.balancing)
    try:
        found = (make if len(weights) > 1 else equal)(model, weights, settings.learning_rate)
    except ImportError as error:
        raise SettingsError(
            f"training.balancing '{name}' needs a package that is not installed ({str(error).splitlines()[0]}); "
            f"pip install 'automtl[{'balancing-gpl' if name in UNDER_GPL else 'balancing'}]'"
        ) from None
    if workers().several and found.keeps_graph:
        raise SettingsError(
            f"training.balancing '{name}' takes several gradients of a step, which workers do not share; train with "
            "one worker, or by a method on losses: equal, uncertainty, dwa, famo"
        )
    if settings.compile and found.keeps_graph:
        raise SettingsError(
            f"training.balancing '{name}' takes several gradients of a step, which a compiled model does not keep; "
            "set training.compile to false"
        )
    return found


def equal(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """The mean of the losses by the weights of the tasks: MTL-Loss (paper, eq. 1)."""
    return Balancing(lambda losses: losses @ weights, remembers=False)


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
    from torchjd.aggregation import PCGradWeighting

    return by_gradients(PCGradWeighting(), model, weights, scale=1 / len(weights))


def cagrad(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """The step that is best for the worst task near the mean, c = 0.4 (Liu et al., NeurIPS 2021, algorithm 1)."""
    from torchjd.aggregation import CAGradWeighting

    return by_gradients(CAGradWeighting(c=0.4), model, weights)


def nash_mtl(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """The tasks bargain (Navon et al., ICML 2022, algorithm 1)."""
    from torchjd.aggregation import NashMTL

    by_rows = NashMTL(n_tasks=len(weights)).weighting  # the one method that torchjd gives no Gramian to
    return by_gradients(lambda products: by_rows(square_root(products)), model, weights, remembers=True)


def upgrad(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    """Gradients projected on what harms no task (Quinton and Rey, 2024, arXiv 2406.16232)."""
    from torchjd.aggregation import UPGradWeighting

    return by_gradients(UPGradWeighting(), model, weights)


class LastSeen:
    """Gives a task without rows in a batch its last loss, at first 1, in the losses (T,).

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
    weighting: Callable[[Tensor], Tensor], model: nn.Module, weights: Tensor, scale: float = 1.0, *,
    remembers: bool = False,
) -> Balancing:  # fmt: skip
    """Weigh losses by torchjd's `weighting` of the Gramian (T, T) of their gradients.

    Its diagonal is scaled to a mean of 1. A batch in which a task has no rows, so no direction, makes a plain step.
    """
    shared = shared_parameters(model)

    def total(losses: Tensor) -> Tensor:
        values = losses * weights * len(weights)
        if bool((losses == 0).any()):
            return values.mean()
        products = gradient_products(values, shared).double()
        with warnings.catch_warnings():  # a solver's remarks on the form of its problem
            warnings.simplefilter("ignore")
            found = weighting(products / products.diagonal().mean().clamp(min=1e-30))
        return values @ found.to(values) * scale

    return Balancing(total, keeps_graph=True, remembers=remembers)


def shared_parameters(model: nn.Module) -> list[nn.Parameter]:
    """List all parameters but those of the towers; what one task alone uses (a gate) adds to its gradient's length."""
    own = {id(each) for module in model.modules() if isinstance(module, Towers) for each in module.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in own]


def gradient_products(values: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the inner products (T, T) of the gradients of the values (T,). Leaves the graph as it is."""
    found = [torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True) for value in values]
    products = torch.zeros(len(values), len(values), device=values.device)
    for gradients in zip(*found, strict=True):
        given = [task for task, gradient in enumerate(gradients) if gradient is not None]
        if given:
            rows = torch.stack([_flat(gradients[task]) for task in given])
            products[torch.tensor(given).unsqueeze(1), given] += rows @ rows.T
    return products


def _flat(gradient: Tensor) -> Tensor:
    """Flatten a gradient; of a table that is moved by rows, that of the batch's rows, which all tasks share."""
    if gradient.is_sparse:
        return sum_by_row(gradient._indices()[0], gradient._values())[1].flatten()
    return gradient.flatten()


def square_root(products: Tensor) -> Tensor:
    """Return a matrix (T, T) whose rows have these inner products (T, T)."""
    values, vectors = torch.linalg.eigh(products)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root
