"""Sizes of networks. No tensors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.schema import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class NetworkSettings:
    """Sizes shared by the searched network and the published models.

    `normalization` of hidden vectors where experts begin and end: of the searched network alone.
    """

    embedding_size: int = Limit(default=16, ge=1)
    width: int = Limit(default=64, ge=1)
    towers: tuple[int, ...] = (128, 64)
    dropout: float = Limit(default=0.2, ge=0, lt=1)
    normalization: Literal["none", "layer"] = "layer"
