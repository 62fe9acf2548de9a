"""The worker's side of a peer: reads a command a line, answers a number a line.

train N      seconds of one epoch over N rows
predict N    seconds of predicting N rows
flops 0      floating-point operations a row of forward and backward, as torch counts them
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Command = Callable[[int], object]


def serve(commands: Mapping[str, Command]) -> None:
    """Answer until the input ends. A command that returns a number answers it, any other its own seconds."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        name, count = line.split()
        start = time.perf_counter()
        told = commands[name](int(count))
        seconds = time.perf_counter() - start
        print(told if isinstance(told, float) else seconds, file=answers, flush=True)


def counted_flops(step: Callable[[], Tensor], rows: int) -> float:
    """A row's share of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        step().backward()
    return counter.get_total_flops() / rows


def threads() -> None:
    """As many threads as the benchmark itself has: the environment says it, if anything does."""
    if "BENCHMARK_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
