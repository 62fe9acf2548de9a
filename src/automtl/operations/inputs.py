"""Groups of inputs: an expert may do without the fields of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from automtl.features.input_kind import InputKind
from automtl.operations.base import Block, BlockShape, Generator, Modules, Operation


@dataclass(frozen=True)
class FieldsWithout(Operation):
    """All fields but those of one kind, which become 0; all fields where that would leave none."""

    blocks = (Block.INTERACTION,)
    left_out: ClassVar[InputKind]

    @staticmethod
    def mixture(candidates: Sequence[FieldsWithout], stack: int, shape: BlockShape, generator: Generator) -> Modules:
        from automtl.nn.interaction import FieldMaskMixture

        return FieldMaskMixture([c.left_out for c in candidates], shape)


@dataclass(frozen=True)
class WithoutIds(FieldsWithout):
    """Lists and numbers alone."""

    left_out = InputKind.ID


@dataclass(frozen=True)
class WithoutLists(FieldsWithout):
    """Ids and numbers alone."""

    left_out = InputKind.LIST


@dataclass(frozen=True)
class WithoutNumbers(FieldsWithout):
    """Ids and lists alone: no numbers, target encodings or histories."""

    left_out = InputKind.NUMBER
