"""Networks as programs of torch, and as graphs of ONNX. B rows, T tasks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from automtl.ensemble.ensemble import Ensemble
from automtl.errors import AutomtlError, SettingsError
from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.nn.embedding import FieldEmbedding
from automtl.serving.export.graph import OPSET

EXAMPLE_ROWS, EXAMPLE_VALUES = 3, 4  # of the rows that a network is traced with
REASON = 300  # most characters of an error that is quoted
CATEGORICAL, NUMERIC = "categorical", "numeric"


@dataclass(frozen=True)
class Part:
    """One of the models whose logits are summed; it reads the first `numbers` numeric columns and first `lists`."""

    model: nn.Module
    numbers: int
    lists: int


def parts_of(network: nn.Module, layout: Layout) -> list[Part]:
    """Return the members of an ensemble, or the one model; `layout` is that of all inputs."""
    if isinstance(network, Ensemble):
        return [Part(model, *inputs) for model, inputs in zip(network.members, network.inputs, strict=True)]
    return [Part(network, layout.num_numeric, len(layout.lists))]


class FromTensors(nn.Module):
    """Runs models on plain tensors: (B, C) int64, (B, N) float32, lists of (B, L) int64 -> logits (B, T) of each."""

    def __init__(self, models: Sequence[Part]) -> None:
        super().__init__()
        self.models = nn.ModuleList(one.model for one in models)
        self.inputs = [(one.numbers, one.lists) for one in models]

    def forward(self, categorical: Tensor, numeric: Tensor, lists: list[Tensor]) -> tuple[Tensor, ...]:
        features = Features(categorical, tuple(lists), numeric)
        found = zip(self.models, self.inputs, strict=True)
        return tuple(model(features.first(*inputs)).float() for model, inputs in found)


def example(layout: Layout) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Make encoded rows of missing values to trace a network with."""
    categorical = torch.zeros(EXAMPLE_ROWS, len(layout.categorical), dtype=torch.int64)
    numeric = torch.zeros(EXAMPLE_ROWS, layout.num_numeric)
    lists = [torch.zeros(EXAMPLE_ROWS, EXAMPLE_VALUES, dtype=torch.int64) for _ in layout.lists]
    return categorical, numeric, lists


def traced(models: Sequence[Part], layout: Layout) -> Any:
    """Trace models as one program of any number of rows; `layout` is that of all inputs. Raises SettingsError."""
    return trace(FromTensors(models).eval(), example(layout), layout)


def trace(module: nn.Module, inputs: tuple[Tensor, Tensor, list[Tensor]], layout: Layout) -> Any:
    """Trace a module of plain tensors. Raises SettingsError where torch cannot."""
    shapes, reason = _dynamic_shapes(layout), ""
    for strict in (False, True):
        try:
            with torch.no_grad(), quiet(), wide_offsets(module):
                return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=strict)
        except AutomtlError:
            raise
        except Exception as error:  # whatever torch, or a user's own model, raises
            reason = reason or " ".join(f"{type(error).__name__}: {error}".split())[:REASON]
    raise SettingsError(
        f"torch.export cannot trace the model ({reason}); a model's code must not depend on the number of rows"
    )


@contextmanager
def wide_offsets(module: nn.Module) -> Iterator[None]:
    """Let embeddings add their offsets in int64, the type of the ids that exported models read."""
    embeddings = [one for one in module.modules() if isinstance(one, FieldEmbedding)]
    before = [(one.offsets, one.list_offsets) for one in embeddings]
    for one in embeddings:
        one.offsets, one.list_offsets = one.offsets.long(), one.list_offsets.long()
    try:
        yield
    finally:
        for one, (offsets, list_offsets) in zip(embeddings, before, strict=True):
            one.offsets, one.list_offsets = offsets, list_offsets


def _dynamic_shapes(layout: Layout) -> tuple[Any, Any, Any]:
    """Name the dimension of rows; the lists of a sequence have one length, other lists any length each."""
    rows = torch.export.Dim("rows")
    lengths = [torch.export.Dim(f"values_{place}") for place in range(len(layout.multi))]
    for place, sequence in enumerate(layout.sequences):
        lengths += [torch.export.Dim(f"events_{place}")] * len(sequence.aspects)
    return {0: rows}, {0: rows}, [{0: rows, 1: length} for length in lengths]


def network_graph(program: Any) -> Any:
    """Turn a traced program into a model of ONNX."""
    with torch.no_grad(), quiet():
        exported = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=OPSET, optimize=True)
    assert exported is not None
    return exported.model_proto


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's exporter from writing to the terminal about itself."""
    names = ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in zip(names, before, strict=True):
            logging.getLogger(name).setLevel(level)
