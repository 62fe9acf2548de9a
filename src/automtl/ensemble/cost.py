"""Count the operations in which a row is scored, for fits, leaderboards and comparisons alike.

Counted are two operations for each multiply-add of a network's matrix products and, of boosted trees, a comparison for
each node that a row passes, an addition for each tree, and each number that is looked up by an id. Activations, sums
and the lookups of embeddings are not counted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.ensemble import trees_of
from automtl.features.batch import Batch

ROWS = 1024  # the first ones, over which operations are averaged


@torch.inference_mode()
def flops_per_row(model: nn.Module, rows: Batch) -> int:
    """Count the operations in which a model scores one row, averaged over the first of these encoded rows."""
    some, of_trees = rows.take(slice(0, ROWS)), list[float]()

    def count(trees: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(trees, BoostedTrees)
        of_trees.append(trees.operations_per_row(inputs[0]))

    hooks = [trees.register_forward_hook(count) for trees in trees_of(model)]
    try:
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # other kernels are not counted
            model(some.features)
    finally:
        for hook in hooks:
            hook.remove()
    return round(int(counter.get_total_flops()) / len(some) + sum(of_trees))
