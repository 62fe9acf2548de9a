"""Candidate operations as values. No tensors: `mixture` imports them where it builds a module."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from automtl.errors import SpaceError
from automtl.nn.shape import BlockShape as BlockShape
from automtl.system.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from automtl.nn.mixture import Mixture

NUMBER = re.compile(r"[0-9]{1,19}")
LARGEST = 65_536  # number of an operation: more units or heads than any layer has
Generator: TypeAlias = "torch.Generator"
Modules: TypeAlias = "Mixture | Sequence[nn.Module]"


class Block(StrEnum):
    """The kinds of places where a candidate may stand, which decide its shapes (S: stacked experts)."""

    INTERACTION = "interaction"  # (B, F, D) -> (B, F, D)
    POOLING = "pooling"  # (B, F, D) -> (S, B, H)
    LAYER = "layer"  # (S, B, H) -> (S, B, H)


@dataclass(frozen=True)
class Operation(ABC):
    """A candidate: where it may stand (`blocks`), and at most one whole number (a size, a depth, a number of heads).

    >>> from automtl.operations import operation
    >>> operation("mlp-64").numbers
    (64,)
    """

    blocks: ClassVar[tuple[Block, ...]]

    def __post_init__(self) -> None:
        """Raise SpaceError for a number below 1 or beyond any use."""
        if any(not 1 <= value <= LARGEST for value in self.numbers):
            raise SpaceError(f"operation '{self}': the number must be at least 1 and at most {LARGEST:,}")

    @staticmethod
    @abstractmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        """Build what runs these candidates, all of one family, for `stack` experts at once.

        Return a module for each candidate, from its input to its output, or a `Mixture` that runs all of them in
        fewer products. Parameters have the stack as dimension 0 and are drawn by the generator.
        """

    @property
    def numbers(self) -> tuple[int, ...]:
        """The values of the operation's fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """Return the text that `operation` reads: a short name or an import path, then the number: 'mlp-64'."""
        return "-".join([OPERATIONS.name_of(type(self)), *map(str, self.numbers)])


def _is_operation(found: Any) -> bool:
    is_class = isinstance(found, type) and issubclass(found, Operation)
    return is_class and not inspect.isabstract(found) and hasattr(found, "blocks")


OPERATIONS: Registry[type[Operation]] = Registry(
    "operation",
    {
        "skip": "automtl.operations.identity:Identity",
        "inner-product": "automtl.operations.products:InnerProduct",
        "outer-product": "automtl.operations.products:OuterProduct",
        "scaled-inner-product": "automtl.operations.products:ScaledInnerProduct",
        "bit-gate": "automtl.operations.gates:BitGate",
        "vector-gate": "automtl.operations.gates:VectorGate",
        "cross": "automtl.operations.cross:CrossNetwork",
        "attention": "automtl.operations.attention:SelfAttention",
        "sum": "automtl.operations.pooling:SumPooling",
        "average": "automtl.operations.pooling:AveragePooling",
        "attentive": "automtl.operations.pooling:AttentivePooling",
        "linear": "automtl.operations.pooling:LinearPooling",
        "multi-head": "automtl.operations.pooling:MultiHeadPooling",
        "bilinear": "automtl.operations.pooling:BilinearPooling",
        "hidden-gate": "automtl.operations.gates:HiddenGate",
        "mlp": "automtl.operations.mlp:MLP",
        "glu": "automtl.operations.glu:GatedLinearUnit",
        "conv": "automtl.operations.convolution:Convolution",
    },
    _is_operation,
    "a subclass of automtl.operations.Operation that says in `blocks` where it may stand and defines `mixture`",
    SpaceError,
)


def operation(text: str) -> Operation:
    """Return the operation that a text names, the inverse of `str`: 'skip', 'mlp-64', 'package.module:Name-8'.

    Raises SpaceError that names the text and what is wrong with it.
    """
    name, sign, number = text.strip().rpartition("-")
    if not sign or not NUMBER.fullmatch(number):
        name, number = text.strip(), ""
    family = OPERATIONS.find(name)
    if len(fields(family)) != bool(number):
        needs = "no number" if number else f"a number, as in '{name}-4'"
        raise SpaceError(f"operation '{text}': expected {needs}")
    return family(*map(int, [number] if number else []))
