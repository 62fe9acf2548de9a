"""A model's operations on rows of one shape, one after another, without the modules and checks that they come from.

For one row, the calls of modules and the lookups of their parameters take more time than the arithmetic. What depends
on parameters alone is computed once. All else is done by the same kernels, so that outputs have the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn

from automtl.features.batch import Features

TRIED = 4  # made-up rows on which a trace must have the bits of its model
# Operations whose plain functions take less time than the overloads that a trace has.
PLAIN: dict[str, Callable[..., Any]] = {
    name: getattr(torch, name)
    for name in (
        "_softmax", "add", "addmm", "amax", "baddbmm", "bitwise_and", "bmm", "cat", "clamp", "constant_pad_nd", "div",
        "embedding_bag", "eq", "exp", "gather", "ge", "gt", "index_select", "logical_not", "lt", "masked_fill", "mean",
        "mm", "mul", "native_layer_norm", "neg", "permute", "relu", "relu_", "rsub", "select", "sigmoid", "squeeze",
        "stack", "sub", "sum", "tanh", "transpose", "unbind", "unsqueeze", "where",
    )
} | {name: getattr(Tensor, name) for name in ("copy_", "expand", "view")} | {
    "silu": torch._C._nn.silu,
}  # fmt: skip


def traced(model: nn.Module, features: Features) -> Callable[[Features], Tensor]:
    """Return a function from features of this shape to the logits of a model that is trained no more.

    Where the operations cannot be told, or do not give the same bits for other rows, it is the model itself.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    def flat(categorical: Tensor, numeric: Tensor, *multi: Tensor) -> Tensor:
        found: Tensor = model(Features(categorical, multi, numeric))
        return found

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = make_fx(flat)(features.categorical, features.numeric, *features.multi)
            _fold(found)
            forward = _function(found)
    except Exception:  # a model may do anything, also what cannot be traced
        return model

    def run(features: Features) -> Tensor:
        found: Tensor = forward(features.categorical, features.numeric, *features.multi)
        return found

    return run if _same(model, run, features) else model


@torch.no_grad()
def _same(model: nn.Module, run: Callable[[Features], Tensor], features: Features) -> bool:
    """Tell whether two functions give the same bits for this row and for made-up ones."""
    generator = torch.Generator().manual_seed(0)
    rows = [features]
    for place in range(TRIED):
        ids = [torch.full_like(one, place % 2) if place < 2 else one for one in (features.categorical, *features.multi)]
        rows.append(Features(ids[0], tuple(ids[1:]), torch.randn(features.numeric.shape, generator=generator)))
    return all(torch.equal(model(one), run(one)) for one in rows)


def _fold(module: fx.GraphModule) -> None:
    """Compute what depends on constants alone, and leave out what nothing reads."""
    graph, known = module.graph, dict[fx.Node, Any]()
    changed = _changed_in_place(graph)
    for node in list(graph.nodes):
        if node.op == "get_attr":
            known[node] = getattr(module, str(node.target))
        elif node.op == "call_function" and node not in changed and set(node.all_input_nodes) <= known.keys():
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
    for place, (node, value) in enumerate(known.items()):
        if node.op == "call_function" and isinstance(value, Tensor):
            setattr(module, f"folded_{place}", value)
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.get_attr(f"folded_{place}"))
    graph.eliminate_dead_code()


def _changed_in_place(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes whose outputs are written to, and those whose memory they may share."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "call_function" and _name(node).endswith("_"):
            waiting: list[Any] = [node]
            while waiting:
                one = waiting.pop()
                if isinstance(one, fx.Node) and one not in found:
                    found.add(one)
                    waiting += one.args[:1]
    return found


def _function(module: fx.GraphModule) -> Callable[..., Tensor]:
    """Return the operations as one function of the inputs, which finds its constants at once."""
    graph = module.graph
    for node in graph.nodes:
        if node.op == "call_function" and not node.kwargs:
            node.target = PLAIN.get(_name(node), node.target)
    graph.set_codegen(fx.graph.CodeGen())
    names = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    constants = SimpleNamespace(**{name: getattr(module, name) for name in names})
    return partial(type(fx.GraphModule(module, graph)).forward, constants)


def _name(node: fx.Node) -> str:
    """Return the name of an operation, without that of its overload."""
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name).partition("::")[2]
