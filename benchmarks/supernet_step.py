"""One step of the published supernet against a plain loop, and against what the machine can do at best.

The step: a validation pass and a training pass, both with the gradients of all weights (early stopping of operations
needs them). The plain loop (`plain_supernet.py`) is made of ordinary `torch.nn` layers, with the same parameters; its
loss and gradients of the architecture are compared with ours before anything is timed. It runs in a process of its
own, with the allocator as Python starts it; `plain_loop_full_same_allocator` is the ratio against one that keeps freed
memory, as ours does.

Ours is timed in its default precision, bf16 where the processor has it, and in full precision (`_full`); the plain loop
is in full precision, as it is written. `plain_loop_both_bf16`: the plain loop under torch's autocast, too.

The floor, of full precision, is the time of all matrix products of both passes at the speed of one large product.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from types import TracebackType

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.space import SpaceSettings, published_space
from automtl.system.denormal import ignore_denormals
from automtl.system.hardware import has_bf16, precision
from automtl.system.memory import SWITCH, keep_freed_memory
from automtl.tables.schema import Task
from automtl.training.losses import MultiTaskLoss
from common import Seconds, arguments, in_turns, matrix_ceiling, memory_ceiling, ratio, report
from plain_supernet import PlainSupernet

TASKS = tuple(Task(name) for name in ("click", "cart", "buy", "like"))
VOCABULARY = 1000  # of each field


def made(given: argparse.Namespace) -> tuple[Supernet, Batch]:
    """The supernet and a batch, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    fields = tuple(CategoricalLayout(f"id{i}", VOCABULARY) for i in range(given.fields))
    settings = NetworkSettings(embedding_size=given.dim, width=given.dim, dropout=0.0)
    wide = Supernet(published_space(SpaceSettings(), len(TASKS)), Layout(fields, (), (), TASKS), settings, generator)
    ids = torch.randint(0, VOCABULARY, (given.rows, given.fields), generator=generator)
    labels = torch.randint(0, 2, (given.rows, len(TASKS)), generator=generator).float()
    features = Features(ids, (), torch.zeros(given.rows, 0))
    return wide, Batch(features, labels, torch.ones_like(labels), torch.ones(given.rows))


def step(model: nn.Module, batch: Batch, loss: MultiTaskLoss, numbers: str) -> Tensor:
    """Both passes; the loss of the last."""
    for _ in range(2):
        model.zero_grad(set_to_none=True)
        with precision(numbers, torch.device("cpu")):
            logits = model(batch.features)
        value = loss(logits.float(), batch)
        value.backward()
    return value.detach()


def compare(wide: Supernet, plain: PlainSupernet, batch: Batch, loss: MultiTaskLoss) -> None:
    """Raises AssertionError where the plain loop is not the same function."""
    torch.testing.assert_close(step(wide, batch, loss, "full"), step(plain, batch, loss, "full"), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(
        [*wide.logits.alpha.values(), wide.selection.beta], [*plain.alpha, plain.beta], strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-2, atol=1e-6)


@ignore_denormals()
@keep_freed_memory()
def serve(pipe: Connection, given: argparse.Namespace, threads: int, numbers: str) -> None:
    """The plain loop's process: answers each message with the seconds of a step."""
    torch.set_num_threads(threads)
    wide, batch = made(given)
    plain, loss = PlainSupernet(wide), MultiTaskLoss(TASKS)
    while pipe.recv():
        start = time.perf_counter()
        step(plain, batch, loss, numbers)
        pipe.send(time.perf_counter() - start)


class PlainProcess:
    """The plain loop beside us. Use it in a `with` statement."""

    def __init__(self, given: argparse.Namespace, *, keep_memory: bool, numbers: str = "full") -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        os.environ[SWITCH] = "1" if keep_memory else "0"
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(
            target=serve, args=(theirs, given, torch.get_num_threads(), numbers), daemon=True
        )
        self.process.start()
        os.environ[SWITCH] = "1"

    def __call__(self) -> Seconds:
        self.pipe.send(True)
        return Seconds(self.pipe.recv())

    def __enter__(self) -> PlainProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.pipe.send(False)
        self.process.join()


def flops(wide: Supernet, rows: int) -> float:
    """Of all products of both passes: forward, gradients of inputs and of weights."""
    everything = sum(float(costs.sum()) for costs in wide.cost.buffers())
    return 2 * 3 * 2 * (everything + wide.cost.fixed) * rows


@ignore_denormals()
@keep_freed_memory()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--fields", type=int, default=3)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    wide, batch = made(given)
    loss = MultiTaskLoss(TASKS)
    compare(wide, PlainSupernet(wide), batch, loss)
    with ExitStack() as stack:
        plain = {
            "plain": PlainProcess(given, keep_memory=False),
            "plain, same allocator": PlainProcess(given, keep_memory=True),
        }
        if has_bf16(torch.device("cpu")):
            plain["plain, bf16"] = PlainProcess(given, keep_memory=False, numbers="bf16")
        for process in plain.values():
            stack.enter_context(process)
        runs: dict[str, Callable[[], object]] = {
            "ours": lambda: step(wide, batch, loss, "auto"), "ours, full": lambda: step(wide, batch, loss, "full")
        }  # fmt: skip
        times = in_turns(runs | plain, given.rounds)
    ceiling, bandwidth, work = matrix_ceiling(), memory_ceiling(), flops(wide, given.rows)
    for name, seconds in times.items():
        print(f"{name}: {min(seconds):.2f} to {max(seconds):.2f} s a step")
    print(f"floor: {work / ceiling:.2f} s ({work / 1e9:.0f} GFLOP at {ceiling / 1e9:.0f} GFLOP/s)")
    report(
        "supernet-step",
        {
            "plain_loop": ratio(times["plain"], times["ours"]),
            "plain_loop_full": ratio(times["plain"], times["ours, full"]),
            "plain_loop_full_same_allocator": ratio(times["plain, same allocator"], times["ours, full"]),
            "plain_loop_both_bf16": ratio(times["plain, bf16"], times["ours"]) if "plain, bf16" in times else None,
            "floor": ratio(times["ours, full"], [work / ceiling] * given.rounds),
            "gflops_ceiling": round(ceiling / 1e9),
            "memory_gb_per_second": round(bandwidth / 1e9, 1),
            "gflop_a_step": round(work / 1e9, 1),
        },
        given.out,
    )


if __name__ == "__main__":
    main()
