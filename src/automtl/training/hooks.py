"""Hooks that a model may offer to its training besides `forward`. B rows, K members, T tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from automtl.features.batch import Batch, Features


@runtime_checkable
class HasMembers(Protocol):
    """A model of K members that each learn from their own loss: the loss of a step is the mean of theirs.

    `forward` gives the logits (B, T) that the members have together.
    """

    def member_logits(self, features: Features) -> Tensor:
        """Return the logits (K, B, T) of all members."""


@dataclass(frozen=True)
class Part:
    """A part of a model from which the logits of some tasks, and no others, come. `tasks`: their places."""

    module: nn.Module
    tasks: tuple[int, ...]


@runtime_checkable
class HasParts(Protocol):
    """A model of parts that learn apart, each stopped where its own tasks are best."""

    def independent_parts(self) -> Sequence[Part]:
        """Return parts that together hold all that is learned."""


@runtime_checkable
class HasPenalty(Protocol):
    """A model that learns from more than the losses of its tasks, where its training rows allow it."""

    def look(self, train: Batch) -> None:
        """Look at the training rows before the first step."""

    def penalty(self, logits: Tensor) -> Tensor:
        """Return what the logits (B, T) of a batch add to the losses of the tasks, (T,)."""
