"""Candidate operations: one family a file, all in one table, others by import path."""

from __future__ import annotations

import importlib
import re

from automtl.errors import SpaceError, suggestion
from automtl.operations.attention import SelfAttention
from automtl.operations.base import Block, BlockShape, Operation
from automtl.operations.convolution import Convolution
from automtl.operations.cross import CrossNetwork
from automtl.operations.gates import BitGate, HiddenGate, VectorGate
from automtl.operations.identity import Identity
from automtl.operations.mlp import MLP
from automtl.operations.pooling import AttentivePooling, AveragePooling, LinearPooling, SumPooling
from automtl.operations.products import InnerProduct, OuterProduct

FAMILIES: dict[str, type[Operation]] = {
    family.name: family
    for family in (
        Identity, InnerProduct, OuterProduct, BitGate, VectorGate, CrossNetwork, SelfAttention,
        SumPooling, AveragePooling, AttentivePooling, LinearPooling, HiddenGate, MLP, Convolution,
    )
}  # fmt: skip


def operation(text: str) -> Operation:
    """The operation that `text` names: 'skip', 'mlp-64', or 'package.module:Name' with an optional '-NUMBER'.

    Raises SpaceError that names the text and what is wrong with it.
    """
    found = re.fullmatch(r"(.*?)(?:-(\d+))?", text.strip())
    assert found is not None
    name, number = found.group(1), found.group(2)
    family = _outside(name) if ":" in name else FAMILIES.get(name)
    if family is None:
        raise SpaceError(f"operation '{text}' is unknown{suggestion(name, FAMILIES)}; known: {', '.join(FAMILIES)}")
    try:
        made = family(*([int(number)] if number else []))
    except TypeError:
        needs = "a number, as in 'mlp-64'" if not number else "no number"
        raise SpaceError(f"operation '{text}': expected {needs}") from None
    if any(value < 1 for value in made.numbers):
        raise SpaceError(f"operation '{text}': the number must be at least 1")
    if isinstance(made, Convolution) and made.kernel % 2 == 0:
        raise SpaceError(f"operation '{text}': the kernel must be odd, so that the padding is the same on both sides")
    return made


def _outside(path: str) -> type[Operation]:
    module_name, _, name = path.partition(":")
    try:
        family = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise SpaceError(f"operation '{path}' cannot be imported: {error}; check the path") from None
    if not (isinstance(family, type) and issubclass(family, Operation)):
        raise SpaceError(f"operation '{path}' is not a subclass of automtl.operations.Operation")
    return family


def text_of(made: Operation) -> str:
    """The inverse of `operation`."""
    family = type(made)
    if FAMILIES.get(made.name) is family:
        return str(made)
    return "-".join([f"{family.__module__}:{family.__qualname__}", *map(str, made.numbers)])


__all__ = ["FAMILIES", "Block", "BlockShape", "Identity", "Operation", "operation", "text_of"]
