"""Look-ups in a table of embeddings. V rows of the table, D its width, B rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy.sparse import csc_array
from torch import Tensor, nn


def lookup(table: Tensor, ids: Tensor, others: Tensor | None, row_wise: bool, dtype: torch.dtype) -> Tensor:
    """Look up rows of a table (V, D) by ids (B, C) and append other fields (B, G, D), if any: (B, C + G, D).

    The output has the given type. The table's gradient is dense, or, if `row_wise`, sparse: of the ids met.
    """
    out: Tensor = _Lookup.apply(table, ids, others, row_wise, dtype)  # type: ignore[no-untyped-call]
    return out


def lookup_sums(table: Tensor, ids: Sequence[Tensor], row_wise: bool) -> list[Tensor]:
    """Look up some ids (..., K) each in a table (V, D) and sum the rows of the last dimension: (..., D) each.

    The table's gradient is one for all, dense, or, if `row_wise`, sparse: of the ids met.
    """
    flat = [one.flatten(0, -2) for one in ids]
    found: tuple[Tensor, ...] = _Sums.apply(table, row_wise, *flat)  # type: ignore[no-untyped-call]
    return [out.view(*one.shape[:-1], table.shape[1]) for out, one in zip(found, ids, strict=True)]


class _Lookup(torch.autograd.Function):
    """Looks up ids of fields in one copy, which has room for the other fields."""

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
        return _of_rows(ids.view(-1), values, ctx.rows), None, of_others, None, None


class _Sums(torch.autograd.Function):
    """Looks up several tensors of ids (n, K), without a copy of the single rows, and gives the table one gradient."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, row_wise: bool, *ids: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*ids)
        ctx.rows, ctx.row_wise = len(table), row_wise
        return tuple(
            table.index_select(0, one.view(-1))
            if one.shape[1] == 1
            else nn.functional.embedding_bag(one, table, mode="sum")
            for one in ids
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ids, nothing = ctx.saved_tensors, (None,) * (1 + len(ctx.saved_tensors))
        if ctx.row_wise:
            flat = torch.cat([one.view(-1) for one in ids])
            return _of_rows(flat, torch.cat(list(map(_repeated, ids, gradients))), ctx.rows), *nothing
        total = sum_by_ids if not torch.compiler.is_compiling() else _sum_by_ids_compiled
        return total(list(ids), list(gradients), ctx.rows), *nothing


def _repeated(ids: Tensor, values: Tensor) -> Tensor:
    """Repeat values (n, D) for each of their ids (n, K): (n K, D)."""
    return values.repeat_interleave(ids.shape[1], dim=0) if ids.shape[1] > 1 else values


def _of_rows(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    """Make a sparse gradient of a table from values (n, D) of its ids (n,)."""
    shape = (rows, values.shape[1])
    return torch.sparse_coo_tensor(ids.view(1, -1), values, shape, check_invariants=False)


def sum_by_id(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    """Sum the first C of values (B, F, D) by their ids (B, C): (rows, D).

    A processor uses a sparse product, which adds row after row: `index_add_` sorts the ids first, for the same sums.
    """
    batch, count = ids.shape
    if values.device.type != "cpu" or values.dtype != torch.float32:
        flat = values[:, :count].flatten(0, 1)
        return values.new_zeros(rows, values.shape[2]).index_add_(0, ids.flatten(), flat)
    picks = _field_picks(batch, count, values.shape[1], ids.dtype == torch.int32)
    return _product(ids.flatten(), values.flatten(0, 1), picks, rows)


def sum_by_ids(ids: Sequence[Tensor], values: Sequence[Tensor], rows: int) -> Tensor:
    """Sum some values (n, D) each by all of their ids (n, K): (rows, D), as `sum_by_id` does."""
    if values[0].device.type != "cpu" or values[0].dtype != torch.float32:
        total = values[0].new_zeros(rows, values[0].shape[1])
        for one, added in zip(ids, values, strict=True):
            total.index_add_(0, one.flatten(), _repeated(one, added))
        return total
    flat = torch.cat([one.flatten() for one in ids])
    picks = _picks(tuple((len(one), one.shape[1]) for one in ids), flat.dtype == torch.int32)
    return _product(flat, torch.cat(list(values)), picks, rows)


@torch.library.custom_op("automtl::sum_by_id", mutates_args=())
def _sum_by_id_compiled(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    """Run `sum_by_id` as one operation of a compiled model, which the compiler does not look into."""
    return sum_by_id(ids, values, rows)


@_sum_by_id_compiled.register_fake
def _(ids: Tensor, values: Tensor, rows: int) -> Tensor:
    return values.new_empty(rows, values.shape[2])


@torch.library.custom_op("automtl::sum_by_ids", mutates_args=())
def _sum_by_ids_compiled(ids: Sequence[Tensor], values: Sequence[Tensor], rows: int) -> Tensor:
    """Run `sum_by_ids` as one operation of a compiled model."""
    return sum_by_ids(ids, values, rows)


@_sum_by_ids_compiled.register_fake
def _(ids: Sequence[Tensor], values: Sequence[Tensor], rows: int) -> Tensor:
    return values[0].new_empty(rows, values[0].shape[1])


def _product(ids: Tensor, values: Tensor, picks: tuple[np.ndarray, np.ndarray], rows: int) -> Tensor:
    """Multiply a sparse matrix (rows, n), which has ones at some ids of each column, by values (n, D)."""
    ones, starts = picks
    matrix = csc_array((ones, ids.numpy(), starts), shape=(rows, len(starts) - 1))
    return torch.from_numpy(matrix @ values.numpy())


@lru_cache(maxsize=4)
def _field_picks(batch: int, count: int, fields: int, short: bool) -> tuple[np.ndarray, np.ndarray]:
    """Make the entries and column starts of a sparse matrix: an entry for each of `count` fields, none for later ones.

    `short`: ids have 32 bits. Starts of other numbers than ids would make a copy of the ids.
    """
    ends = count * np.arange(batch).reshape(-1, 1) + np.arange(1, fields + 1).clip(max=count)
    return np.ones(batch * count, np.float32), np.append(0, ends).astype(np.int32 if short else np.int64)


@lru_cache(maxsize=4)
def _picks(shapes: tuple[tuple[int, int], ...], short: bool) -> tuple[np.ndarray, np.ndarray]:
    """Make the entries and column starts of a sparse matrix: K entries in each of n columns for each shape (n, K)."""
    sizes = np.concatenate([np.full(count, size) for count, size in shapes])
    starts = np.append(0, sizes.cumsum())
    return np.ones(starts[-1], np.float32), starts.astype(np.int32 if short else np.int64)
