"""Settings of boosted trees. No tensors."""

from __future__ import annotations

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.schema import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class TreeSettings:
    """LightGBM's parameters; training ends after `patience` rounds without a better validation loss.

    `max_rows` are drawn of the training rows, and of the validation rows, since all of them are held in memory.
    """

    rounds: int = Limit(default=2000, ge=1)
    patience: int = Limit(default=50, ge=1)
    learning_rate: float = Limit(default=0.025, gt=0)
    leaves: int = Limit(default=16, ge=2)
    min_leaf_rows: int = Limit(default=20, ge=1)
    column_share: float = Limit(default=1.0, gt=0, le=1)
    row_share: float = Limit(default=0.8, gt=0, le=1)
    l2: float = Limit(default=1.0, ge=0)
    max_rows: int = Limit(default=4_000_000, ge=1)
