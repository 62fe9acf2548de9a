"""A candidate operation, as a value. No tensors: `mixture` imports them where it builds a module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from automtl.nn.shape import BlockShape as BlockShape

if TYPE_CHECKING:
    import torch

    from automtl.nn.mixture import Mixture


class Block(StrEnum):
    """Where a candidate may stand, and so the shapes it maps (S: stacked experts)."""

    INTERACTION = "interaction"  # (B, F, D) -> (B, F, D)
    POOLING = "pooling"  # (B, F, D) -> (S, B, H)
    LAYER = "layer"  # (S, B, H) -> (S, B, H)


@dataclass(frozen=True)
class Operation(ABC):
    """A leaf has at most one whole number (a size, a depth, a number of heads) and a `name`."""

    name: ClassVar[str]
    blocks: ClassVar[tuple[Block, ...]]
    skip: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: BlockShape, generator: torch.Generator) -> Mixture:
        """The module that runs these candidates, all of one family, for `stack` experts at once."""

    def multiply_adds(self, shape: BlockShape) -> int:
        """Of its matrix products, for one row and one expert. An operation without products has none."""
        return 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """The values of the leaf's fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.numbers)])
