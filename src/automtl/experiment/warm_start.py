"""Start a network from the weights of an earlier one of the same kind, whose inputs may have other ids and columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import nn

from automtl.features.continued_histories import renumbered
from automtl.features.encoder import Encoder
from automtl.features.layout import AspectLayout, CategoricalLayout, MultiLayout
from automtl.features.vocabulary import FIRST
from automtl.nn.embedding import FieldEmbedding

NONE = -1  # the earlier row of a row that had none


@torch.no_grad()
def start_from(network: nn.Module, inputs: Encoder, earlier: nn.Module, earlier_inputs: Encoder) -> None:
    """Copy the weights of an earlier network into a new one. inputs, earlier_inputs: the encoder of each one's inputs.

    Every known id keeps its embedding, whatever its number is now; a new one starts with that of unknown ids. Weights
    of numeric columns are copied by the names of the columns. What has no counterpart stays as it is.
    """
    rows, columns = earlier_rows(inputs, earlier_inputs), _columns(inputs, earlier_inputs)
    before, taken = dict(earlier.named_modules()), set[str]()
    for name, module in network.named_modules():
        if isinstance(module, FieldEmbedding):
            old = before[name]
            assert isinstance(old, FieldEmbedding)
            _copy_embedding(module, old, rows, columns)
            taken |= {f"{name}.{part}".removeprefix(".") for part in ("table", "projection", "projection_bias")}
    known = earlier.state_dict()
    for name, own in network.state_dict().items():
        if name not in taken and name in known and known[name].shape == own.shape:
            own.copy_(known[name])


@dataclass(frozen=True)
class Columns:
    """Numeric columns that both have, and their groups: places now, and before."""

    columns: tuple[list[int], list[int]]
    groups: tuple[list[int], list[int]]


def _copy_embedding(own: FieldEmbedding, old: FieldEmbedding, rows: np.ndarray, common: Columns) -> None:
    known = np.flatnonzero(rows != NONE)
    own.table[torch.from_numpy(known)] = old.table[torch.from_numpy(rows[known])]
    groups = zip(*common.groups, strict=True)
    places = dict(groups)
    for group, before in places.items():
        now, then = (slice(place * own.dim, (place + 1) * own.dim) for place in (group, before))
        own.projection_bias[now] = old.projection_bias[then]
        for column, column_before in zip(*common.columns, strict=True):
            if bool(own.block[column, now].any()):
                own.projection[column, now] = old.projection[column_before, then]


def earlier_rows(inputs: Encoder, earlier: Encoder) -> np.ndarray:
    """Return the row that each row of an embedding table has in an earlier one, (V,) int64; NONE if there is none."""
    before, parts = _tables(earlier), [np.zeros(0, np.int64)]
    for name, (field, _) in _tables(inputs).items():
        found = np.full(field.size, NONE, np.int64)
        if name in before:
            old, start = before[name]
            ids = _earlier_ids(field, inputs, earlier)
            kept = np.flatnonzero(ids < old.size)[: field.size]
            found[kept] = start + ids[kept]
        parts.append(found)
    return np.concatenate(parts)


def _earlier_ids(
    field: CategoricalLayout | MultiLayout | AspectLayout, inputs: Encoder, earlier: Encoder
) -> np.ndarray:
    """Return the earlier id of each id of a field; those of bins and of ages of events are the same."""
    if field.name not in inputs.vocabularies or field.name not in earlier.vocabularies:
        return np.arange(field.size)
    now, then = inputs.vocabularies[field.name], earlier.vocabularies[field.name]
    ids = renumbered(now, then).astype(np.int64)
    if now.hashed == then.hashed:
        ids[FIRST + now.values.len() :] = np.arange(len(then) - then.hashed, len(then))
    return ids


def _tables(encoder: Encoder) -> dict[str, tuple[CategoricalLayout | MultiLayout | AspectLayout, int]]:
    """Return the fields that have ids of their own, by name, with the first row of each in the embedding table."""
    layout = encoder.layout
    fields = (*layout.categorical, *layout.lists)
    starts = accumulate((field.size for field in fields), initial=0)
    return {field.name: (field, start) for field, start in zip(fields, starts, strict=False) if field.size}


def _columns(inputs: Encoder, earlier: Encoder) -> Columns:
    """Find the numeric columns and groups that both encoders have, by name."""
    now, then = (
        {
            (group.name, column): (place, number)
            for place, (number, group, column) in enumerate(
                (number, group, column)
                for number, group in enumerate(encoder.layout.numeric)
                for column in group.columns
            )
        }
        for encoder in (inputs, earlier)
    )
    common = [name for name in now if name in then]
    columns = [now[name][0] for name in common], [then[name][0] for name in common]
    return Columns(columns, ([now[name][1] for name in common], [then[name][1] for name in common]))
