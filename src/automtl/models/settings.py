"""Sizes of networks. No tensors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.entries import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class NetworkSettings:
    """Sizes shared by the searched network and the published models."""

    embedding_size: int = Limit(default=16, ge=1, le=8_192, description="Size of an embedding (D).")
    width: int = Limit(default=64, ge=1, le=65_536, description="Hidden units between layers of experts (H).")
    towers: tuple[Annotated[int, Limit(ge=1, le=65_536)], ...] = Limit(
        default=(128, 64), max_length=64, fail_fast=True, description="Hidden units of each layer of a task's tower."
    )
    dropout: float = Limit(default=0.2, ge=0, lt=1, description="Share of hidden units dropped in training.")
    members: int = Limit(
        default=1,
        ge=1,
        le=1_024,
        description="Members of the searched network: each has its share of the experts, and gates, towers and a loss "
        "of its own; scores are their mean.",
    )
    normalization: Literal["none", "layer"] = Limit(
        default="layer",
        description="Normalization of the outputs of experts; of the searched network's inputs of layers, too.",
    )
