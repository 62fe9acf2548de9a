"""How much work the library gives the machine, counted and not timed: operator calls, bytes, FLOPs of products.

A count is the same on every machine, so a test can hold it to a budget (tests/work.json, tests/test_work.py), where a
time cannot. It sees what torch's dispatcher sees: forward and backward passes, custom autograd functions and optimizers
alike, not the inside of a compiled graph.

    python benchmarks/work.py                     the counts beside the budgets
    python benchmarks/work.py --detail mmoe-step  the operators of one case, those that move most bytes first
    python benchmarks/work.py --update            today's counts become the budgets
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import models
from automtl.models.network import build
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.search import SearchProblem
from automtl.search.procedure import Procedure
from automtl.search.progressive import ProgressiveSettings
from automtl.search.search_run import SearchRun
from automtl.space import SpaceSettings, published_space
from automtl.system.progress import ignore
from automtl.system.randomness import seeded
from automtl.training.evaluation import predict_logits
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from automtl.training.updates import Updates
from peers.sizes import Sizes

BUDGETS = Path(__file__).parents[1] / "tests" / "work.json"
UPDATE = "python benchmarks/work.py --update"
LIMITS = {"flops": 1.02, "calls": 1.10, "bytes": 1.15}  # of a budget

# Where an operator has its two factors among its arguments; in-place and out forms have the name of the plain one.
FACTORS = {
    "mm": (0, 1), "bmm": (0, 1), "mv": (0, 1), "dot": (0, 1), "vdot": (0, 1), "addmm": (1, 2), "addbmm": (1, 2),
    "baddbmm": (1, 2), "addmv": (1, 2), "_addmm_activation": (1, 2), "ger": (0, 1), "addr": (1, 2),
}  # fmt: skip
OUTER = ("ger", "addr")
NO_WORK = (
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh",
    "_fused_sdp_choice", "_sparse_coo_tensor_with_dims_and_tensors", "resize_", "set_",
    "_record_function_enter_new", "_record_function_exit",
)  # fmt: skip
OVERWRITING = ("copy", "zero", "fill", "uniform", "normal", "bernoulli", "random")  # never read what they write
SHAPES_ALONE = (  # read no values at all
    "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_ones", "new_full",
)  # fmt: skip
SELECTING = ("index_select", "embedding", "gather", "index", "take")  # read of their first tensor what they return
SCATTERING = ("index_add", "index_copy", "index_put", "index_fill", "scatter", "scatter_add", "scatter_reduce")
BAGS = ("_embedding_bag", "_embedding_bag_forward_only")  # read a row of their first tensor for each id of the second


@dataclass(frozen=True)
class Work:
    """Calls of operators that do more than show memory in another way, bytes they read and write, FLOPs of products."""

    calls: int = 0
    bytes: int = 0
    flops: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.calls + other.calls, self.bytes + other.bytes, self.flops + other.flops)


class Counter(TorchDispatchMode):
    """Counts what is run in a `with` block, by operator."""

    def __init__(self) -> None:
        super().__init__()
        self.by_operator: dict[str, Work] = defaultdict(Work)

    @property
    def total(self) -> Work:
        """Of all operators."""
        return sum(self.by_operator.values(), Work())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.ops.prim.device.default:
            with self:
                parts = func.decompose(*args, **kwargs)  # of operators made of others, which do the work
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if not func.is_view and func.overloadpacket.__name__ not in NO_WORK:
            name = plain_name(func)
            work = Work(1, moved_bytes(func, name, args, kwargs, out), flops(func, name, args, kwargs, out))
            self.by_operator[name] += work
        return out


def plain_name(func: Any) -> str:
    """An operator's name without what marks the in-place form."""
    name: str = func.overloadpacket.__name__
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def tensors(values: object) -> list[Tensor]:
    """All tensors in nested arguments, each once."""
    return list({id(leaf): leaf for leaf in leaves(values)}.values())


def leaves(values: object) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from leaves(value)
    elif isinstance(values, dict):
        yield from leaves(tuple(values.values()))


def held_bytes(tensor: Tensor) -> int:
    """Of the memory that a tensor shows: a value that is only repeated counts once, a sparse tensor not at all."""
    if tensor.layout is not torch.strided:
        return 0
    count = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride or not size else 1
    return count


def all_bytes(values: Iterable[Tensor]) -> int:
    """Of some tensors."""
    return sum(map(held_bytes, values))


def moved_bytes(func: Any, name: str, args: Any, kwargs: Any, out: Any) -> int:
    """Bytes of what an operator reads, and of what it writes."""
    given = [] if name in SHAPES_ALONE else tensors((args, kwargs))
    written, only_written = [], []
    named = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    for argument in func._schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            changed = tensors(named.get(argument.name))
            written += changed
            only_written += changed if argument.kwarg_only or name in OVERWRITING else []
    table = given[0] if given else None
    reach = reached_bytes(name, given, out, in_place=bool(written))

    def size(tensor: Tensor) -> int:
        return held_bytes(tensor) if reach is None or tensor is not table else min(held_bytes(tensor), reach)

    skipped = set(map(id, only_written))
    read = sum(size(tensor) for tensor in given if id(tensor) not in skipped)
    old = set(map(id, given))
    fresh = all_bytes(tensor for tensor in tensors(out) if id(tensor) not in old)
    return read + sum(map(size, written)) + fresh


def reached_bytes(name: str, given: Sequence[Tensor], out: Any, *, in_place: bool) -> int | None:
    """How much of its first tensor an operator touches that goes by ids; None: all of it."""
    if name in SELECTING:
        return all_bytes(tensors(out))
    if name in SCATTERING and in_place:
        return max(map(held_bytes, given[1:]), default=None)
    if name in BAGS:
        return given[1].numel() * given[0].shape[1] * given[0].element_size()
    return None


def flops(func: Any, name: str, args: Any, kwargs: Any, out: Any) -> int:
    """Two for each multiplication of a product; convolutions and fused attention by torch's own formulas."""
    if name in FACTORS:
        given = (*args, *kwargs.values())
        left, right = (given[place] for place in FACTORS[name])
        outer = right.numel() if name in OUTER else right.shape[-1] if right.dim() > 1 else 1
        return int(2 * left.numel() * outer)
    formula = formulas().get(name.replace("_for_cpu", ""))
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=out))


@cache
def formulas() -> dict[str, Callable[..., int]]:
    """Torch's formulas by name."""
    packets = {packet.__name__: formula for packet, formula in flop_registry.items()}
    return {name: formula for name, formula in packets.items() if name not in FACTORS}


# --- what is counted ---------------------------------------------------------------------------------------------

SIZES = Sizes(experts=8, hidden=(128, 64), tower=(128, 64), fields=6, numeric=3, vocabulary=100, batch=256)
LARGE = replace(SIZES, vocabulary=100_000, batch=64)  # of each field: far more ids than a batch meets
ROUND = 14  # steps in which each of 13 candidates has its turn, half of them with a step of the architecture
Case = Callable[[], Callable[[], object]]


def training_step(make: Callable[[], nn.Module], sizes: Sizes = SIZES, updates: str = "auto") -> Callable[[], object]:
    """Forward, backward and update; one such step has been taken, which makes the optimizer's state."""
    model, batch = make(), models.rows(sizes, sizes.batch)
    loss = MultiTaskLoss(models.tasks(sizes))
    moved = Updates(model, batch, TrainingSettings(precision="full", batch_size=sizes.batch, embedding_updates=updates))

    def step() -> None:
        moved.step(loss(model(batch.features), batch))

    step()
    return step


def baseline(name: str, sizes: Sizes = SIZES) -> nn.Module:
    """A published model, dropout included."""
    return MODELS.find(name)(models.layout(sizes), NetworkSettings(), torch.Generator().manual_seed(0))


def derived() -> nn.Module:
    """An architecture drawn from the published space."""
    space = published_space(SpaceSettings(), SIZES.tasks)
    return build(space.narrow(space.sample(random.Random(0))), models.layout(SIZES), NetworkSettings(), 0)


def prediction(make: Callable[[], nn.Module], rows: int) -> Callable[[], object]:
    """Logits of encoded rows."""
    model, batch = make(), models.rows(SIZES, rows)
    return lambda: predict_logits(model, batch)


def published_pass() -> Callable[[], object]:
    """Loss and all gradients of the supernet of the published space."""
    space = published_space(SpaceSettings(), SIZES.tasks)
    wide = Supernet(space, models.layout(SIZES), NetworkSettings(), torch.Generator().manual_seed(0))
    batch, loss = models.rows(SIZES, SIZES.batch), MultiTaskLoss(models.tasks(SIZES))
    return lambda: loss(wide(batch.features), batch).backward()


def search_round(**changed: Any) -> Callable[[], object]:
    """A round of steps of the default search past its warm-up and alpha's rest, before candidates are given up."""
    settings = ProgressiveSettings(
        warm_up=0.0, architecture_rest=0.0, min_steps=800, max_steps=800, batch_size=SIZES.batch, **changed
    )
    run = SearchRun(problem(), settings, Procedure.of(settings), 0)
    run.advance(ignore)

    def steps() -> None:
        for _ in range(ROUND):
            run.advance(ignore)

    return steps


def problem() -> SearchProblem:
    """The published space on some rows."""
    space, rows = published_space(SpaceSettings(), SIZES.tasks), models.rows(SIZES, 4 * SIZES.batch)
    train, valid = rows.take(slice(0, 3 * SIZES.batch)), rows.take(slice(3 * SIZES.batch, None))
    return SearchProblem(
        space, models.layout(SIZES), train, valid, NetworkSettings(), TrainingSettings(precision="full")
    )


CASES: Mapping[str, Case] = {
    "supernet-pass": published_pass,
    "search-weights-round": lambda: search_round(architecture_every=1_000, early_stopping=False),
    "search-round": search_round,
    "mmoe-step": lambda: training_step(lambda: baseline("mmoe")),
    "shared-bottom-step": lambda: training_step(lambda: baseline("shared-bottom")),
    "derived-step": lambda: training_step(derived),
    "large-table-step": lambda: training_step(lambda: baseline("shared-bottom", LARGE), LARGE),
    "mmoe-predict-1": lambda: prediction(lambda: baseline("mmoe"), 1),
    "mmoe-predict-8192": lambda: prediction(lambda: baseline("mmoe"), 8192),
    "derived-predict-1": lambda: prediction(derived, 1),
    "derived-predict-8192": lambda: prediction(derived, 8192),
}


def count(run: Callable[[], object]) -> Counter:
    """What one call does."""
    counter = Counter()
    with seeded(0), counter:  # dropout is drawn alike every time
        run()
    return counter


def read_budgets() -> dict[str, Work]:
    """By case."""
    values = json.loads(BUDGETS.read_text(encoding="utf-8"))["cases"]
    return {name: Work(**work) for name, work in values.items()}


def excess(name: str, found: Work, budget: Work) -> str:
    """Why a case is over its budget, and what to do; empty if it is not."""
    over = [
        f"{name}: {getattr(found, kind):,} {kind}, the budget is {getattr(budget, kind):,} "
        f"(at most {LIMITS[kind] - 1:.0%} more)"
        for kind in LIMITS
        if getattr(found, kind) > LIMITS[kind] * getattr(budget, kind)
    ]
    return "\n".join([*over, f"if that is meant, accept it by: {UPDATE}"]) if over else ""


def write_budgets(found: Mapping[str, Work]) -> None:
    """Today's counts, with the torch whose operators they are."""
    cases = {name: vars(work) for name, work in found.items()}
    BUDGETS.write_text(json.dumps({"torch": torch.__version__.split("+")[0], "cases": cases}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write the counts to tests/work.json")
    parser.add_argument("--detail", choices=CASES, help="the operators of one case")
    chosen = parser.parse_args()
    if chosen.detail:
        print_operators(count(CASES[chosen.detail]()))
        return
    found = {name: count(make()).total for name, make in CASES.items()}
    print_counts(found, read_budgets() if BUDGETS.exists() else {})
    if chosen.update:
        write_budgets(found)


def print_operators(counter: Counter) -> None:
    """One line an operator."""
    for name, work in sorted(counter.by_operator.items(), key=lambda item: -item[1].bytes):
        print(f"{name:44}{work.calls:>7} calls {work.bytes / 1e6:>10.2f} MB {work.flops / 1e6:>11.2f} MFLOP")


def print_counts(found: Mapping[str, Work], budgets: Mapping[str, Work]) -> None:
    """One line a case, with its share of the budget."""
    for name, work in found.items():
        budget = budgets.get(name)
        shares = (
            [f"{getattr(work, kind) / max(getattr(budget, kind), 1):.0%}" for kind in LIMITS] if budget else ["new"]
        )
        print(
            f"{name:22}{work.flops / 1e6:>11.2f} MFLOP {work.calls:>7} calls {work.bytes / 1e6:>10.2f} MB"
            f"   of the budget: {', '.join(shares)}"
        )


if __name__ == "__main__":
    main()
