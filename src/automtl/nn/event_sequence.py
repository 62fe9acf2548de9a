"""A sequence of events as two fields. B rows, L events of the longest row, D embedding size.

Events are vectors (B, L, D), of which (B, L) are given and the rest is padding; the newest event is the last one given.
A row without events is 0 in both fields.

The vectors of a new network are short, and a product of two of them shorter: a model would have found other patterns
and stopped before it learned to compare. Events and target are normalised, so that attention tells ids apart from the
start (benchmarks/sequences.py), and what it sums is brought to the size of other fields by SCALE. Both fields are
means, not sums: histories are shorter where a log begins, and what grows with their number would mislead on later rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.nn.lists import TargetAttention, places, shares
from automtl.nn.stacked import uniform

STD = 0.3  # of new embeddings of places, beside normalised events
SCALE = 0.3  # of fields, beside embeddings


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
        return newest + torch.einsum("bl,bld->bd", shares(score, given), events) @ self.value


class EventSequence(nn.Module):
    """Turns events (B, L, D) into two fields (B, 2, D): attention by a target (B, D), and self-attention.

    Target attention is that of DIN (Zhou et al., KDD 2018), whose weights are a softmax here. same: (B, L, aspects), 1
    where an aspect of the event has the target's id, else 0.
    """

    def __init__(self, dim: int, positions: int, aspects: int, generator: torch.Generator) -> None:
        super().__init__()
        self.target_attention = TargetAttention(dim, positions, generator, aspects=aspects, std=STD)
        self.self_attention = SelfAttention(dim, positions, generator)

    def forward(self, events: Tensor, given: Tensor, target: Tensor, same: Tensor) -> Tensor:
        events, target = (nn.functional.layer_norm(x, x.shape[-1:]) for x in (events, target))
        share = shares(self.target_attention.scores(events, given, target, same), given)
        fields = torch.einsum("bl,bld->bd", share, events), self.self_attention(events, given)
        return torch.stack(fields, dim=1) * SCALE
