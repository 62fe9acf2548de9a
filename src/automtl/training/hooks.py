"""What a model may offer to its training besides `forward`. B rows, K members, T tasks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from automtl.features.batch import Features


@runtime_checkable
class HasMembers(Protocol):
    """A model of K members that each learn from their own loss: the loss of a step is the mean of theirs.

    `forward` gives the logits (B, T) that the members have together.
    """

    def member_logits(self, features: Features) -> Tensor:
        """Return the logits (K, B, T) of all members."""
