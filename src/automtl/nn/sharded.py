"""Look-ups in a table whose rows lie on several workers. W workers, U distinct ids of a batch, D width of the table.

Row r of the table lies on worker r % W, there in place r // W. An id is asked of the worker that has it, which sends
the row; in the backward pass the row's gradient goes back the same way, so that each worker gets the gradients of its
own rows alone. Workers get alike many of the frequent ids, which come first in a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from automtl.system.workers import exchanged, exchanged_counts, joined_rows, workers

PIECE = 2**20  # rows of a table that are sent at once when it is put together


def own_rows(table: Tensor) -> Tensor:
    """Copy the rows (V / W, D) that this worker keeps of a table (V, D)."""
    return table[workers().place :: workers().count].clone()


def whole_table(own: Tensor, rows: int) -> Tensor:
    """Put a table of so many rows together from the rows of all workers. All workers have to ask."""
    count, table = workers().count, own.new_empty(rows, own.shape[1])
    for start in range(0, -(-rows // count), PIECE):
        counts = [len(range(place, rows, count)[start : start + PIECE]) for place in range(count)]
        parts = joined_rows(own[start : start + PIECE], counts).split(counts)
        for place, part in enumerate(parts):
            table[place + start * count :: count][: len(part)] = part
    return table


def fetch(own: Tensor, ids: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Fetch the rows (U, D) of some ids, of which this worker has the rows `own`; and the places of the ids there.

    The gradient of `own` is sparse. All workers have to ask.
    """
    distinct, places = torch.cat([one.flatten() for one in ids]).unique(return_inverse=True)
    rows: Tensor = _Fetch.apply(own, distinct)  # type: ignore[no-untyped-call]
    parts = places.split([one.numel() for one in ids])
    return rows, [part.view(one.shape) for part, one in zip(parts, ids, strict=True)]


class _Fetch(torch.autograd.Function):
    """Fetches rows by distinct ids (U,), and sends their gradients (U, D) to the workers that have them."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ids: Tensor) -> Tensor:
        count = workers().count
        owner = ids % count
        order = owner.sort(stable=True).indices
        asked = torch.bincount(owner, minlength=count).tolist()
        wanted = exchanged_counts(asked, ids.device)  # by each worker, of this one
        places = exchanged(ids.index_select(0, order), asked, wanted) // count
        found = exchanged(own.index_select(0, places), wanted, asked)
        ctx.save_for_backward(order, places)
        ctx.asked, ctx.wanted, ctx.rows = asked, wanted, len(own)
        return torch.empty_like(found).index_copy_(0, order, found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        order, places = ctx.saved_tensors
        values = exchanged(gradient.index_select(0, order), ctx.asked, ctx.wanted)
        shape = (ctx.rows, values.shape[1])
        return torch.sparse_coo_tensor(places.view(1, -1), values, shape, check_invariants=False), None
