"""Fields to embeddings: one table for all ids, one product for all numeric columns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.data.batch import Features
from automtl.data.layout import Layout
from automtl.nn.stacked import segments

STD = 0.01  # of new id embeddings


class FieldEmbedding(nn.Module):
    """Features of B rows -> (B, F, D): categorical fields, multi-valued fields, numeric groups.

    Ids of all fields live in one table (each field has its own range); numeric groups are projected linearly
    (paper, 4.1.4) by one product with a matrix that is zero outside each group's block.
    """

    offsets: Tensor
    multi_offsets: Tensor
    block: Tensor

    def __init__(self, layout: Layout, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [field.size for field in layout.categorical] + [field.size for field in layout.multi]
        starts = torch.tensor([0, *sizes]).cumsum(0)
        count = len(layout.categorical)
        self.poolings = tuple(field.pooling for field in layout.multi)
        self.register_buffer("offsets", starts[:count], persistent=False)
        self.register_buffer("multi_offsets", starts[count:-1], persistent=False)
        self.table = nn.Parameter(torch.empty(int(starts[-1]), dim).normal_(0, STD, generator=generator))
        self.num_fields, self.dim, self.num_groups = layout.num_fields, dim, len(layout.numeric)
        columns = [len(group.columns) for group in layout.numeric]
        owner = segments(columns) if columns else torch.zeros(0, dtype=torch.long)
        block = torch.eye(max(len(columns), 1))[owner].repeat_interleave(dim, dim=1)  # (N, G D)
        self.register_buffer("block", block, persistent=False)
        fan_in = torch.tensor([float(size) for size in columns])[owner].rsqrt().unsqueeze(1)
        weight = torch.empty(block.shape).uniform_(-1, 1, generator=generator)
        self.projection = nn.Parameter(weight * fan_in * block)
        self.projection_bias = nn.Parameter(torch.zeros(len(columns) * dim))

    @property
    def width(self) -> int:
        """F D, the size of the flattened output."""
        return self.num_fields * self.dim

    def forward(self, features: Features) -> Tensor:
        parts = [nn.functional.embedding(features.categorical + self.offsets, self.table)]  # (B, C, D)
        for index, ids in enumerate(features.multi):
            parts.append(self._pool(ids, index).unsqueeze(1))
        if self.num_groups:
            projected = torch.addmm(self.projection_bias, features.numeric, self.projection * self.block)
            parts.append(projected.reshape(-1, self.num_groups, self.dim))  # (B, G, D)
        return torch.cat(parts, dim=1)

    def _pool(self, ids: Tensor, index: int) -> Tensor:
        """(B, L) ids, 0 is padding -> (B, D). A row without values is 0."""
        present = (ids > 0).unsqueeze(2).to(self.table.dtype)
        found = nn.functional.embedding(ids + self.multi_offsets[index], self.table) * present
        total = found.sum(dim=1)
        return total / present.sum(dim=1).clamp(min=1) if self.poolings[index] == "mean" else total
