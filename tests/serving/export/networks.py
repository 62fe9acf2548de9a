"""Small networks of every registered model and operation, for laws of exported models.

`python -m tests.serving.export.networks` converts all of them to ONNX, compares them with torch, and prints a line
each; the tests do so for the operations alone, since each conversion takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.features.batch import Batch, Features
from automtl.models.network import build
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.operations import OPERATIONS, Block, Operation, operation
from automtl.serving.export.check import session_of
from automtl.serving.export.network import Part, network_graph, traced
from automtl.space import Architecture, SearchSpace
from automtl.testing.examples import small_batch, small_layout
from automtl.testing.models import make_model

FULL = small_layout()
PLAIN = replace(FULL, multi=(), sequences=())  # quicker to convert


def lively(model: nn.Module) -> nn.Module:
    """Make the small weights of a new model large, so that every input changes the scores."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.3, generator=generator))
    return model.eval()


def registered() -> dict[str, nn.Module]:
    """Return a model of each registered kind but boosted trees."""
    kinds = {name: MODELS.find(name) for name in MODELS.aliases}
    return {
        name: lively(make_model(kind, layout=PLAIN))  # type: ignore[arg-type]
        for name, kind in kinds.items()
        if not issubclass(kind, BoostedTrees)  # type: ignore[arg-type]
    }


def of_every_operation(layout: Any = FULL, *, own: bool = True) -> nn.Module:
    """Return a network whose experts have all registered operations between them, each expert its own.

    `own`: each has an interaction of its own; else all share one, and poolings read the same fields.
    """
    examples = [kind(*[3] * len(fields(kind))) for kind in map(OPERATIONS.find, OPERATIONS.aliases)]
    of = {block: [one for one in examples if block in one.blocks] for block in Block}
    experts = max(map(len, of.values()))

    def cells(block: Block) -> tuple[Operation, ...]:
        return tuple(of[block][place % len(of[block])] for place in range(experts))

    choices = {"interaction": (operation("skip" if own else "cross-2"),)}
    choices |= {"expert_interaction": cells(Block.INTERACTION)} if own else {}
    choices |= {"pooling": cells(Block.POOLING), "layer_1": cells(Block.LAYER)}
    architecture = Architecture(choices, (tuple(range(experts)),) * 3)
    settings = NetworkSettings(embedding_size=4, width=6, towers=(5,), members=2)
    return lively(build(SearchSpace.of(architecture), layout, settings, 0))


def part(model: nn.Module, layout: Any) -> Part:
    """Return a model that reads all inputs of a layout."""
    return Part(model, layout.num_numeric, len(layout.lists))


def rows_of(layout: Any, count: int) -> Batch:
    """Draw rows of a layout."""
    rows = small_batch(count, seed=count)
    return replace(rows, features=replace(rows.features, multi=rows.features.multi[: len(layout.lists)]))


def tensors(features: Features) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return the inputs of a traced program."""
    return features.categorical, features.numeric, [ids.long() for ids in features.multi]


def difference(model: nn.Module, layout: Any, sizes: tuple[int, ...] = (1, 7, 100)) -> float:
    """Return the largest difference of a model's logits in ONNX Runtime, relative above 1."""
    graph = network_graph(traced([part(model, layout)], layout))
    session, largest = session_of(graph.SerializeToString()), 0.0
    names = [one.name for one in session.get_inputs()]
    for size in sizes:
        features = rows_of(layout, size).features
        categorical, numeric, lists = tensors(features)
        feed = dict(zip(names, (one.numpy() for one in (categorical, numeric, *lists)), strict=True))
        with torch.no_grad():
            expected = model(features).numpy()
        (found,) = session.run(None, feed)
        largest = max(largest, float((np.abs(found - expected) / np.maximum(np.abs(expected), 1)).max()))
    return largest


def main() -> None:
    """Convert every model, and print how far its logits are from torch's."""
    cases: Mapping[str, tuple[nn.Module, Any]] = {
        **{name: (model, PLAIN) for name, model in registered().items()},
        "every operation": (of_every_operation(), FULL),
        "every operation, one interaction": (of_every_operation(PLAIN, own=False), PLAIN),
        "shared-bottom, lists and sequences": (lively(make_model(MODELS.find("shared-bottom"))), FULL),  # type: ignore[arg-type]
        "stem, lists and sequences": (lively(make_model(MODELS.find("stem"))), FULL),  # type: ignore[arg-type]
    }
    for name, (model, layout) in cases.items():
        start = time.process_time()
        print(f"{name}: {difference(model, layout):.1g} in {time.process_time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
