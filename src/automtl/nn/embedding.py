"""The embedding of fields: one table for all ids, one product for all numeric columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy.sparse import csc_array
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.nn.event_sequence import EventSequence
from automtl.nn.lists import list_pooling
from automtl.nn.stacked import product_type

STD = 0.01  # of new id embeddings


class FieldEmbedding(nn.Module):
    """Embeds features of B rows as (B, F, D): categorical fields, multi-valued fields, sequences, numeric groups.

    Ids of all fields live in one table (each field has its own range, a list of values or an aspect of events that of
    its target; other aspects have a table of their sequence's own). Numeric groups
    are projected linearly (paper, 4.1.4) by one product with a matrix that is zero outside each group's block.
    """

    offsets: Tensor
    multi_offsets: Tensor
    block: Tensor

    def __init__(self, layout: Layout, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [field.size for field in layout.categorical] + [field.size for field in layout.multi]
        starts = torch.tensor([0, *sizes]).cumsum(0)
        count = len(layout.categorical)
        places = {field.name: place for place, field in enumerate(layout.categorical)}
        self.targets = tuple(None if field.target is None else places[field.target] for field in layout.multi)
        owners = [count + index if place is None else place for index, place in enumerate(self.targets)]
        numbers = torch.int32 if int(starts[-1]) < 2**31 else torch.int64
        self.register_buffer("offsets", starts[:count].to(numbers), persistent=False)
        multi_offsets = starts[torch.tensor(owners, dtype=torch.long)].to(numbers)
        self.register_buffer("multi_offsets", multi_offsets, persistent=False)
        self.table = nn.Parameter(torch.empty(int(starts[-1]), dim).normal_(0, STD, generator=generator))
        self.row_wise = False  # whether the table's gradient is sparse, which training decides
        self.num_fields, self.dim, self.num_groups = layout.num_fields, dim, len(layout.numeric)
        columns = [len(group.columns) for group in layout.numeric]
        owner = torch.arange(len(columns)).repeat_interleave(torch.tensor(columns, dtype=torch.long))  # (N,)
        block = torch.eye(max(len(columns), 1))[owner].repeat_interleave(dim, dim=1)  # (N, G D)
        self.register_buffer("block", block, persistent=False)
        fan_in = torch.tensor([float(size) for size in columns])[owner].rsqrt().unsqueeze(1)
        weight = torch.empty(block.shape).uniform_(-1, 1, generator=generator)
        self.projection = nn.Parameter(weight * fan_in * block)
        self.projection_bias = nn.Parameter(torch.zeros(len(columns) * dim))
        self.poolings = nn.ModuleList(list_pooling(field, dim, generator) for field in layout.multi)
        self.sequences = nn.ModuleList(EventSequence(one, layout, dim, generator) for one in layout.sequences)

    @property
    def width(self) -> int:
        """The size of the flattened output, F D."""
        return self.num_fields * self.dim

    @property
    def events(self) -> list[EventSequence]:
        """The modules of sequences, in order."""
        return list(self.sequences)  # type: ignore[arg-type]

    def ids_of_a_row(self, features: Features) -> int:
        """Count the ids that are looked up in the table for a row; the longest lists decide."""
        lists = [*range(len(self.poolings)), *(index for one in self.events for index in one.shared)]
        ids: int = features.categorical.shape[1] + sum(features.multi[index].shape[1] for index in lists)
        return ids

    def forward(self, features: Features, *, for_products: bool = False) -> Tensor:
        """Embed the fields; `for_products`: only products read the output, which may have the type of autocast.

        It has that type where rounding the table is less work than rounding the output.
        """
        numeric = self._projected(features.numeric)
        if not features.multi:
            ids = features.categorical + self.offsets
            dtype = self.table.dtype
            if for_products and len(self.table) <= ids.numel():
                dtype = product_type(ids.device.type, dtype)
            out: Tensor = _Lookup.apply(self.table, ids, numeric, self.row_wise, dtype)  # type: ignore[no-untyped-call]
            return out
        rows, *lists = self._found(features)
        parts = [rows]  # (B, C, D)
        for index, pooling in enumerate(self.poolings):
            place = self.targets[index]
            target = None if place is None else rows[:, place]
            parts.append(pooling(lists[index], features.multi[index] > 0, target).unsqueeze(1))
        for sequence, events in zip(self.events, lists[len(self.poolings) :], strict=True):
            parts.append(sequence(events, features.multi, rows))
        return torch.cat(parts if numeric is None else [*parts, numeric], dim=1)

    def _projected(self, numeric: Tensor) -> Tensor | None:
        """Project the numeric columns (B, N) to (B, G, D)."""
        if not self.num_groups:
            return None
        with torch.autocast(numeric.device.type, enabled=False):  # a small product, which rounding would only slow down
            projected = torch.addmm(self.projection_bias, numeric, self.projection * self.block)
        return projected.view(-1, self.num_groups, self.dim)

    def _found(self, features: Features) -> list[Tensor]:
        """Look up all ids at once: (B, C, D) of categorical fields, (B, L, D) of each list, (B, L, A, D) of events."""
        ids = [features.categorical + self.offsets]
        ids += [features.multi[index] + offset for index, offset in enumerate(self.multi_offsets)]
        ids += [one.shared_ids(features.multi) + self.offsets[one.targets] for one in self.events]
        flat = torch.cat([values.reshape(1, -1) for values in ids], dim=1)
        found: Tensor = _Lookup.apply(self.table, flat, None, self.row_wise, self.table.dtype)  # type: ignore[no-untyped-call]
        parts = found[0].split([values.numel() for values in ids])
        return [part.view(*values.shape, self.dim) for part, values in zip(parts, ids, strict=True)]


class _Lookup(torch.autograd.Function):
    """Looks up rows of a table (V, D) by ids (B, C) and appends other fields (B, G, D), if any: (B, C + G, D).

    The output has the given type. The table's gradient is dense, or, if `row_wise`, sparse: of the ids met.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, ids: Tensor, others: Tensor | None, row_wise: bool, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.table_type, table = table.dtype, table.to(dtype)
        ctx.rows, ctx.row_wise, ctx.others = len(table), row_wise, None if others is None else others.dtype
        if others is None:
            return table.index_select(0, ids.flatten()).view(*ids.shape, table.shape[1])
        count = ids.shape[1]
        places = nn.functional.pad(ids, (0, others.shape[1]))  # what others overwrite is looked up as well: no copy
        out = table.index_select(0, places.flatten()).view(*places.shape, table.shape[1])
        out[:, count:] = others
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (ids,) = ctx.saved_tensors
        gradient = gradient.to(ctx.table_type)
        of_others = None if ctx.others is None else gradient[:, ids.shape[1] :].to(ctx.others)
        if not ctx.row_wise:
            total = sum_by_id if not torch.compiler.is_compiling() else _sum_by_id_compiled
            return total(ids, gradient, ctx.rows), None, of_others, None, None
        values = gradient[:, : ids.shape[1]].flatten(0, 1)
        shape = (ctx.rows, values.shape[1])
        of_rows = torch.sparse_coo_tensor(ids.view(1, -1), values, shape, check_invariants=False)
        return of_rows, None, of_others, None, None


def sum_by_id(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    """Sum the first C of values (B, F, D) by their ids (B, C): (rows, D).

    A processor uses a sparse product, which adds row after row: `index_add_` sorts the ids first, for the same sums.
    """
    batch, count = ids.shape
    if values.device.type != "cpu" or values.dtype != torch.float32:
        flat = values[:, :count].flatten(0, 1)
        return values.new_zeros(rows, values.shape[2]).index_add_(0, ids.flatten(), flat)
    ones, starts = _picks(batch, count, values.shape[1], ids.dtype == torch.int32)
    picks = csc_array((ones, ids.flatten().numpy(), starts), shape=(rows, len(starts) - 1))
    return torch.from_numpy(picks @ values.flatten(0, 1).numpy())


@torch.library.custom_op("automtl::sum_by_id", mutates_args=())
def _sum_by_id_compiled(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    """Run `sum_by_id` as one operation of a compiled model, which the compiler does not look into."""
    return sum_by_id(ids, values, rows)


@_sum_by_id_compiled.register_fake
def _(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    return values.new_empty(rows, values.shape[2])


@lru_cache(maxsize=4)
def _picks(batch: int, count: int, fields: int, short: bool) -> tuple[np.ndarray, np.ndarray]:
    """Make the entries and column starts of a sparse matrix: an entry for each of `count` fields, none for later ones.

    `short`: ids have 32 bits. Starts of other numbers than ids would make a copy of the ids.
    """
    ends = count * np.arange(batch).reshape(-1, 1) + np.arange(1, fields + 1).clip(max=count)
    return np.ones(batch * count, np.float32), np.append(0, ends).astype(np.int32 if short else np.int64)
