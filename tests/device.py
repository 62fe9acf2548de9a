"""A graphics card that is not there: tensors without numbers, of another device than the processor's.

python -m tests.device    # runs each case on it; writes as JSON what was wrong with each, or null

torch follows device, shape and type of such tensors and refuses to mix devices, as for a real card. A step that runs
on it makes nothing on the wrong device. `no_waits` also refuses what makes a processor wait for a card: numbers and
copies that leave it, and tensors that come from the processor's pageable memory.
"""

from __future__ import annotations

import json
import random
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from automtl.features.batch import Batch
from automtl.models.network import build
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.operations import Operation, operation
from automtl.search import STRATEGIES
from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.state import EndlessBatches, SearchState
from automtl.space.presets import PRESETS
from automtl.testing.examples import small_batch, small_layout
from automtl.testing.models import make_model
from automtl.testing.operations import make_block, make_inputs, settings_of
from automtl.testing.strategies import small_problem
from automtl.training.fit import SelfTrained
from automtl.training.losses import MultiTaskLoss
from automtl.training.passes import Passes, Place
from automtl.training.settings import TrainingSettings
from automtl.training.updates import updating

NAME = "card"
TEXTS = [text for one in PRESETS.values() for some in (one.interactions, one.poolings, one.layers) for text in some]
EACH = {type(operation(text)): operation(text) for text in TEXTS}  # one of each kind
TRAINED = [name for name, model in MODELS.members().items() if not issubclass(model, SelfTrained)]  # type: ignore[arg-type]
SEARCHES = [name for name, kind in STRATEGIES.members().items() if issubclass(kind, DifferentiableStrategy)]
# Others take gradients, and wait for a solver, or are modules of torchjd, which cannot be moved here.
ON_LOSSES = ("equal", "dwa")
Module = TypeVar("Module", bound=nn.Module)


@cache
def _registered() -> torch.library.Library:
    """Let torch know the device, which a process can once, before its first gradient; autocast is off there."""
    _setup_privateuseone_for_python_backend(NAME)
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
    rules = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    rules.fallback(torch.library.fallthrough_kernel)
    return rules


@contextmanager
def card() -> Iterator[FakeTensorMode]:
    """Let tensors of the device exist in the block."""
    _registered()
    with FakeTensorMode() as mode:
        yield mode


class _NoWaits(TorchDispatchMode):
    def __torch_dispatch__(
        self, function: Any, types: Any, given: Sequence[Any] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*given, **(named or {}))
        read, made = _devices((given, named)), _devices(out)
        assert len(read | made) < 2, f"{function} waits: from {sorted(read)} to {sorted(made)}"
        return out


def _devices(values: Any) -> set[str]:
    """Kinds of devices of tensors; a number, which is sent with the call, has none."""
    return {one.device.type for one in tree_leaves(values) if isinstance(one, Tensor) and one.dim()}


def no_waits() -> TorchDispatchMode:
    """A block in which nothing waits for the card."""
    return _NoWaits()


def _on_card(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=NAME)


def module_on_card(module: Module) -> Module:
    """Move the parameters and buffers of a module, which lose their numbers; to be called in `card`."""
    moved: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, one in part._parameters.items():
            if one is not None:
                fresh = moved.setdefault(id(one), nn.Parameter(_on_card(one), one.requires_grad))
                part._parameters[name] = fresh
        part._buffers.update({name: _on_card(one) for name, one in part._buffers.items() if one is not None})
    return module


def rows_on_card(rows: Batch) -> Batch:
    """Move encoded rows, which lose their numbers; to be called in `card`."""
    return rows.each(_on_card)


def train_step(model: nn.Module, **changes: Any) -> None:
    """Take a training step, without a wait."""
    settings = TrainingSettings(batch_size=20, precision="full", **changes)
    tasks, device = small_layout().tasks, torch.device(NAME)
    loss = MultiTaskLoss(tasks, sampled=True)
    with card():
        rows = rows_on_card(small_batch(40))
        module_on_card(model)
        with updating(model, rows, settings) as updates:
            passes = Passes(model, rows, module_on_card(loss), updates, settings)
            place = Place.first(0, len(tasks), settings, device)
            model.train()
            with no_waits():
                passes._step(rows.take(slice(0, 20)), place)


def run_operation(tested: Operation) -> None:
    """Run an operation among others, alone, and alone by weight, and take gradients."""
    block, options = next(settings_of(tested))
    made, place = make_block(block, options), options.index(tested)
    with card():
        module_on_card(made)
        x = torch.empty(make_inputs(block).shape, device=NAME, requires_grad=True)
        weights = torch.empty(made.stack, len(options), device=NAME, requires_grad=True)
        with no_waits():
            made(x, weights).sum().backward()
            made(x, None, (place,)).sum().backward()
            made(x, weights[:, :1], (place,)).sum().backward()


def train_model(name: str) -> None:
    """Train a published model, with tables moved by rows."""
    train_step(make_model(MODELS.find(name)), embedding_updates="row-wise")  # type: ignore[arg-type]


def train_balanced(balancing: str) -> None:
    """Train with a balancing of losses, and dense gradients of tables."""
    train_step(make_model(MODELS.find("mmoe")), embedding_updates="dense", balancing=balancing)  # type: ignore[arg-type]


def train_members() -> None:
    """Train a derived network of two members, and predict."""
    problem = small_problem()
    space = problem.space.narrow(problem.space.sample(random.Random(0)))
    model = build(space, problem.layout, NetworkSettings(4, 8, (6,), members=2), 0)
    train_step(model)
    with card():
        module_on_card(model.eval())
        features = rows_on_card(small_batch()).features
        with no_waits(), torch.inference_mode():
            assert model(features).shape == (40, 3)


def search_step(name: str) -> None:
    """Move architecture and weights in a search by gradients."""
    kind: Any = STRATEGIES.find(name)
    settings = kind.settings_class()(batch_size=20, min_steps=40, max_steps=40)
    problem = small_problem()
    problem = replace(problem, training=replace(problem.training, precision="full"))
    run = kind(settings).begin(problem, 0)
    with card():
        supernet, run.device = module_on_card(run.state.supernet), torch.device(NAME)
        run.state = SearchState.new(supernet, run.settings, run.procedure)
        run.state.step = 31  # moves the architecture, and records gradients
        run.train, run.valid = (EndlessBatches(rows_on_card(one.rows), 20, 0) for one in (run.train, run.valid))
        run.loss, run.training_loss = module_on_card(run.loss), module_on_card(run.training_loss)
        for each in (run.train, run.valid):
            each.batch(run.state.step)  # the order of an epoch is sent once
        plan = run.plan()
        with no_waits():
            run.move_architecture(plan)
            run.move_weights(replace(plan, records=True))


def be_strict() -> None:
    """Refuse what a real card refuses, and what it makes the processor wait for."""
    with card(), no_waits():
        here, there = torch.zeros(3, 3), torch.zeros(3, 3, device=NAME)
        wrong: list[Callable[[], object]] = [
            lambda: there + here, lambda: there[[0, 2]], lambda: there[torch.tensor([0])], lambda: there.cpu(),
            lambda: here.to(NAME), lambda: bool(there.any()), lambda: there.sum().item(), lambda: there.tolist(),
            lambda: there[there > 0], lambda: torch.tensor([1.0, 2.0], device=NAME),
        ]  # fmt: skip
        for place, act in enumerate(wrong):
            try:
                act()
            except Exception:
                continue
            raise AssertionError(f"wrong act {place} is let through")
        assert (there * 2 + torch.ones(3, device=NAME)).relu().sum().device.type == NAME


CASES: dict[str, Callable[[], None]] = {"strict": be_strict, "members": train_members}
CASES |= {f"operation {one}": partial(run_operation, one) for one in EACH.values()}
CASES |= {f"model {name}": partial(train_model, name) for name in TRAINED}
CASES |= {f"balancing {name}": partial(train_balanced, name) for name in ON_LOSSES}
CASES |= {f"search {name}": partial(search_step, name) for name in SEARCHES}


def failure(case: Callable[[], None]) -> str | None:
    """Run a case, and return what is wrong: the error, and the line of ours that it comes from."""
    try:
        case()
    except Exception as error:
        ours = [one for one in traceback.extract_tb(error.__traceback__) if "/automtl/" in one.filename]
        where = f" at {ours[-1].filename.rpartition('/automtl/')[2]}:{ours[-1].lineno}: {ours[-1].line}" if ours else ""
        return f"{type(error).__name__}: {str(error)[:200]}{where}"
    return None


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({name: failure(case) for name, case in CASES.items()}))
