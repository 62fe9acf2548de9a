"""A sequence of events as two fields. B rows, L events of the longest row, D embedding size.

Events have a place in (B, L, D) each, and (B, L) tells which places hold one. A row without events is 0 in both fields.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.features.layout import Layout, SequenceLayout
from automtl.nn.lists import TargetAttention, places
from automtl.nn.stacked import uniform

STD = 0.01  # of new embeddings


class SelfAttention(nn.Module):
    """Turns events into the state that they leave: one block of attention over them, and its mean (SASRec, ICDM 2018).

    Each event asks all events of its row, by one head of size D: the paper's equation 2, on events to which embeddings
    of their places, counted from the newest one, are added (equation 1). What it hears is added to it (equation 5).
    """

    def __init__(self, dim: int, positions: int, generator: torch.Generator) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.empty(positions, dim).normal_(0, STD, generator=generator))
        self.query, self.key, self.value = (uniform((dim, dim), dim, generator) for _ in range(3))

    def forward(self, values: Tensor, given: Tensor) -> Tensor:
        x = values + self.place[places(given, len(self.place))]  # (B, L, D)
        hidden = given.unsqueeze(1) | ~given.any(dim=1).view(-1, 1, 1)  # a row without events asks what it drops
        heard = nn.functional.scaled_dot_product_attention(
            x @ self.query, x @ self.key, x @ self.value, attn_mask=hidden
        )
        share = given.to(values.dtype)
        share = share / share.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.einsum("bl,bld->bd", share, values + heard)


class EventSequence(nn.Module):
    """Embeds a sequence as target attention and self-attention over its events.

    An event is the sum of the embeddings of its aspects. Those that share the ids of a field are looked up with the
    fields, and their sum over this row's fields is the target; small ones with ids of their own have a table here.
    """

    starts: Tensor
    targets: Tensor

    def __init__(self, sequence: SequenceLayout, layout: Layout, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        first, aspects = layout.first_list(sequence), sequence.aspects
        fields = [field.name for field in layout.categorical]
        targets = [fields.index(aspect.target) for aspect in aspects if aspect.target is not None]
        self.register_buffer("targets", torch.tensor(targets), persistent=False)  # places of fields, (A,)
        self.shared = [first + index for index, aspect in enumerate(aspects) if aspect.target is not None]
        self.own = [first + index for index, aspect in enumerate(aspects) if aspect.target is None]
        starts = torch.tensor([0, *(aspect.size for aspect in aspects if aspect.target is None)]).cumsum(0)
        self.register_buffer("starts", starts[:-1].to(torch.int32), persistent=False)
        self.table = nn.Parameter(torch.empty(int(starts[-1]), dim).normal_(0, STD, generator=generator))
        self.target_attention = TargetAttention(dim, sequence.positions, generator)
        self.self_attention = SelfAttention(dim, sequence.positions, generator)

    def shared_ids(self, lists: Sequence[Tensor]) -> Tensor:
        """Return the ids (B, L, A) of the aspects that share those of a field."""
        return torch.stack([lists[index] for index in self.shared], dim=2)

    def forward(self, events: Tensor, lists: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Return (B, 2, D) from embeddings of shared aspects (B, L, A, D), all lists, and the fields (B, C, D)."""
        own = torch.stack([lists[index] for index in self.own], dim=2)  # (B, L, own aspects)
        given = own[:, :, -1] > 0
        values = events.sum(dim=2) + self.table[own + self.starts].sum(dim=2)  # (B, L, D)
        target = rows.index_select(1, self.targets).sum(dim=1)
        fields = self.target_attention(values, given, target), self.self_attention(values, given)
        return torch.stack(fields, dim=1)
