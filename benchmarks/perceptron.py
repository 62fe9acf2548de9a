"""The sliced perceptron against its definition in two batched products, in turns; ends in one line of JSON."""

from __future__ import annotations

import json
import statistics
import time

import torch
from torch import Tensor

from automtl.nn.perceptron import perceptron, plain_perceptron

STACK, ROWS, WIDTH, HIDDEN = 8, 1024, 64, 2032  # all MLP candidates of a layer of eight experts
ROUNDS = 15


def seconds(form, values: list[Tensor], wanted: list[Tensor]) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    torch.autograd.grad(form(*values).sum(), wanted)
    return time.perf_counter() - start


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [(STACK, ROWS, WIDTH), (STACK, WIDTH, HIDDEN), (STACK, 1, HIDDEN), (STACK, HIDDEN, WIDTH), (STACK, HIDDEN)]
    values = [torch.randn(size, generator=generator).requires_grad_() for size in [*sizes, (STACK, 1, WIDTH)]]
    figures = {}
    for name, needed in (("all gradients", range(6)), ("of inputs and shares alone", (0, 4))):
        for index, value in enumerate(values):
            value.requires_grad_(index in needed)
        wanted = [value for value in values if value.requires_grad]
        times = [
            (seconds(plain_perceptron, values, wanted), seconds(perceptron, values, wanted)) for _ in range(ROUNDS)
        ]
        figures[name] = round(statistics.median(plain / sliced for plain, sliced in times[2:]), 2)
    about = {"benchmark": "perceptron", "threads": torch.get_num_threads(), "torch": torch.__version__}
    print(json.dumps(about | {"plain_over_sliced": figures}))


if __name__ == "__main__":
    main()
