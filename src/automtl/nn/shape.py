"""The sizes of a choice block. No tensors, so that operations, as values, can import it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockShape:
    """Sizes a candidate may need: fields F, embedding D, expert width H."""

    fields: int
    dim: int
    width: int
