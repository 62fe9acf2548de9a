"""The embedding of fields: one table for all ids, one product for all numeric columns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.features.vocabulary import FIRST
from automtl.nn.event_sequence import EventSequence
from automtl.nn.lists import list_pooling
from automtl.nn.lookup import lookup, lookup_sums
from automtl.nn.sharded import fetch
from automtl.nn.stacked import product_type

STD = 0.01  # of new id embeddings


class FieldEmbedding(nn.Module):
    """Embeds features of B rows as (B, F, D): categorical fields, multi-valued fields, sequences, numeric groups.

    Ids of all fields live in one table (each field and each aspect of events has its own range, or that of its target);
    numeric groups are projected linearly (paper, 4.1.4) by one product with a matrix that is zero outside each group's
    block.
    """

    offsets: Tensor
    list_offsets: Tensor
    block: Tensor

    def __init__(self, layout: Layout, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        count, lists = len(layout.categorical), layout.lists
        starts = torch.tensor([0, *(field.size for field in (*layout.categorical, *lists))]).cumsum(0)
        places = {field.name: place for place, field in enumerate(layout.categorical)}
        self.targets = tuple(None if one.target is None else places[one.target] for one in lists)
        owners = [count + index if place is None else place for index, place in enumerate(self.targets)]
        numbers = torch.int32 if int(starts[-1]) < 2**31 else torch.int64
        self.register_buffer("offsets", starts[:count].to(numbers), persistent=False)
        list_offsets = starts[torch.tensor(owners, dtype=torch.long)].to(numbers)
        self.register_buffer("list_offsets", list_offsets, persistent=False)
        self.table = nn.Parameter(torch.empty(int(starts[-1]), dim).normal_(0, STD, generator=generator))
        self.row_wise = False  # whether the table's gradient is sparse, which training decides
        self.num_ids, self.sharded = int(starts[-1]), False  # whether `table` has this worker's rows alone
        self.num_fields, self.dim, self.num_groups = layout.num_fields, dim, len(layout.numeric)
        columns = [len(group.columns) for group in layout.numeric]
        self.numeric_names = tuple(name for group in layout.numeric for name in group.columns)
        owner = torch.arange(len(columns)).repeat_interleave(torch.tensor(columns, dtype=torch.long))  # (N,)
        block = torch.eye(max(len(columns), 1))[owner].repeat_interleave(dim, dim=1)  # (N, G D)
        self.register_buffer("block", block, persistent=False)
        fan_in = torch.tensor([float(size) for size in columns])[owner].rsqrt().unsqueeze(1)
        weight = torch.empty(block.shape).uniform_(-1, 1, generator=generator)
        self.projection = nn.Parameter(weight * fan_in * block)
        self.projection_bias = nn.Parameter(torch.zeros(len(columns) * dim))
        self.poolings = nn.ModuleList(list_pooling(field, dim, generator) for field in layout.multi)
        ends = list(accumulate((len(one.aspects) for one in layout.sequences), initial=len(layout.multi)))
        self.spans = [slice(start, stop) for start, stop in pairwise(ends)]  # of each sequence's lists
        shared = [sum(place is not None for place in self.targets[span]) for span in self.spans]
        self.sequences = nn.ModuleList(
            EventSequence(dim, one.positions, count, generator)
            for one, count in zip(layout.sequences, shared, strict=True)
        )

    @property
    def width(self) -> int:
        """The size of the flattened output, F D."""
        return self.num_fields * self.dim

    def forward(self, features: Features, *, for_products: bool = False) -> Tensor:
        """Embed the fields; `for_products`: only products read the output, which may have the type of autocast.

        It has that type where rounding the table is less work than rounding the output.
        """
        numeric = self._projected(features.numeric)
        if not features.multi:
            table, (ids,), row_wise = self._rows([features.categorical + self.offsets])
            dtype = product_type(ids.device.type, table.dtype) if for_products else table.dtype
            if dtype != table.dtype and len(table) > ids.numel():
                dtype = table.dtype
            return lookup(table, ids, numeric, row_wise, dtype)
        lists = features.multi
        rows, *found = lookup_sums(*self._rows(list(self._ids(features))))
        parts = [rows]  # (B, C, D)
        for pooling, values, ids, place in zip(self.poolings, found, lists, self.targets, strict=False):
            target = None if place is None else rows[:, place]
            parts.append(pooling(values, ids > 0, target).unsqueeze(1))
        events = found[len(self.poolings) :]  # and targets, in turn
        for index, (sequence, span) in enumerate(zip(self.sequences, self.spans, strict=True)):
            values, target = events[2 * index : 2 * index + 2]
            parts.append(sequence(values, lists[span.stop - 1] > 0, target, self._same(features, span)))
        return torch.cat(parts if numeric is None else [*parts, numeric], dim=1)

    def _rows(self, ids: list[Tensor]) -> tuple[Tensor, list[Tensor], bool]:
        """Return rows that contain those of the ids, the places of the ids there, and whether their gradient is sparse.

        They are the table or, where it lies on several workers, the rows that these have sent.
        """
        return (*fetch(self.table, ids), False) if self.sharded else (self.table, ids, self.row_wise)

    def _projected(self, numeric: Tensor) -> Tensor | None:
        """Project the numeric columns (B, N) to (B, G, D)."""
        if not self.num_groups:
            return None
        with torch.autocast(numeric.device.type, enabled=False):  # a small product, which rounding would only slow down
            projected = torch.addmm(self.projection_bias, numeric, self.projection * self.block)
        return projected.view(-1, self.num_groups, self.dim)

    def _ids(self, features: Features) -> Iterator[Tensor]:
        """Yield the ids whose rows are summed: one of each field (B, C, 1) and value (B, L, 1), then of each sequence
        those of all aspects of an event (B, L, A), and of its targets in this row (B, A).
        """
        yield (features.categorical + self.offsets).unsqueeze(2)
        for ids, offset in zip(features.multi[: len(self.poolings)], self.list_offsets, strict=False):
            yield (ids + offset).unsqueeze(2)
        for span in self.spans:
            yield torch.stack(features.multi[span], dim=2).to(self.list_offsets.dtype) + self.list_offsets[span]
            targets = [place for place in self.targets[span] if place is not None]
            yield torch.stack([features.categorical[:, place] + self.offsets[place] for place in targets], dim=1)

    def _same(self, features: Features, span: slice) -> Tensor:
        """Tell which ids of events are those of this row, (B, L, A) of 0 and 1; what is missing or unknown is not."""
        pairs = zip(features.multi[span], self.targets[span], strict=True)
        same = [
            (ids == features.categorical[:, place, None]) & (ids >= FIRST) for ids, place in pairs if place is not None
        ]
        return torch.stack(same, dim=2).to(self.table.dtype)
