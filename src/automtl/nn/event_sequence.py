"""A sequence of events as two fields. B rows, L events of the longest row, D embedding size.

Events are vectors (B, L, D), of which (B, L) are given and the rest is padding; the newest event is the last one given.
A row without events is 0 in both fields.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.nn.lists import TargetAttention, places
from automtl.nn.stacked import uniform

STD = 0.01  # of new embeddings


class SelfAttention(nn.Module):
    """Turns events into the state that they leave: what the newest of them takes of all (SASRec, ICDM 2018).

    One block with one head of size D (equation 2), whose output is that of the newest event, as in the paper's
    prediction, so that this event alone has a query. Embeddings of the events' places, counted from the newest one,
    enter the weights alone. What is heard is added to the newest event (equation 5).
    """

    def __init__(self, dim: int, positions: int, generator: torch.Generator) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.empty(positions, dim).normal_(0, STD, generator=generator))
        self.query, self.key, self.value = (uniform((dim, dim), dim, generator) for _ in range(3))

    def forward(self, events: Tensor, given: Tensor) -> Tensor:
        place = places(given, len(self.place))  # (B, L)
        newest = torch.einsum("bl,bld->bd", ((place == 0) & given).to(events.dtype), events)
        asked = ((newest + self.place[0]) @ self.query) @ self.key.T * len(self.key) ** -0.5  # (B, D)
        score = torch.einsum("bd,bld->bl", asked, events) + (asked @ self.place.T).gather(1, place)
        share = score.masked_fill(~given, torch.finfo(score.dtype).min).softmax(dim=1) * given
        return newest + torch.einsum("bl,bld->bd", share, events) @ self.value


class EventSequence(nn.Module):
    """Turns events (B, L, D) into two fields (B, 2, D): attention by a target (B, D), and self-attention.

    same: (B, L, aspects), 1 where an aspect of the event has the target's id, else 0.
    """

    def __init__(self, dim: int, positions: int, aspects: int, generator: torch.Generator) -> None:
        super().__init__()
        self.target_attention = TargetAttention(dim, positions, generator, aspects)
        self.self_attention = SelfAttention(dim, positions, generator)

    def forward(self, events: Tensor, given: Tensor, target: Tensor, same: Tensor) -> Tensor:
        fields = self.target_attention(events, given, target, same), self.self_attention(events, given)
        return torch.stack(fields, dim=1)
