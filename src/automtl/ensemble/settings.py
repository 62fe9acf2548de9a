"""Settings of boosted trees. This module imports no tensors."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Literal

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.durations import Seconds
from automtl.tables.entries import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class CatBoostSettings:
    """Parameters that CatBoost's trees have in place of LightGBM's."""

    learning_rate: float = Limit(default=0.05, gt=0, le=10, description="Share of each tree's output that is added.")
    depth: int = Limit(default=6, ge=1, le=16, description="Depth of a tree, whose splits are alike on each level.")
    column_share: float = Limit(default=0.3, gt=0, le=1, description="Share of the columns that each level sees.")
    l2: float = Limit(default=3.0, ge=0, le=1e9, description="L2 penalty of the values of the leaves.")
    one_hot: int = Limit(
        default=64, ge=2, le=255, description="Fields of at most this many ids are split by single ids, too."
    )


@settings_dataclass(frozen=True, config=CONFIG)
class TreeSettings:
    """Parameters of boosted trees, one booster a task; all but three are LightGBM's alone."""

    rounds: int = Limit(default=2000, ge=1, le=1_000_000, description="Trees of a booster, at most.")
    patience: int = Limit(
        default=50, ge=1, le=1_000_000_000, description="Rounds without a better validation loss that end the training."
    )
    learning_rate: float = Limit(default=0.025, gt=0, le=10, description="Share of each tree's output that is added.")
    leaves: int = Limit(default=16, ge=2, le=131_072, description="Leaves of a tree, at most.")
    min_leaf_rows: int = Limit(
        default=20, ge=1, le=1_000_000_000, description="Least number of training rows in a leaf."
    )
    column_share: float = Limit(default=1.0, gt=0, le=1, description="Share of the columns that each tree sees.")
    row_share: float = Limit(default=0.8, gt=0, le=1, description="Share of the rows that each tree sees.")
    l2: float = Limit(default=1.0, ge=0, le=1e9, description="L2 penalty of the values of the leaves.")
    max_rows: int = Limit(
        default=4_000_000,
        ge=1,
        le=1_000_000_000_000,
        description="Training rows that are drawn, at most, and validation rows: all of them are held in memory.",
    )
    catboost: CatBoostSettings = field(default_factory=lambda: CatBoostSettings())

    @property
    def small(self) -> TreeSettings:
        """Settings of smaller trees that see fewer columns, which rare labels with many inputs are better for."""
        leaves, share = min(self.leaves, 7), min(self.column_share, 0.4)
        return replace(self, leaves=leaves, column_share=share, learning_rate=min(2 * self.learning_rate, 1.0))


@settings_dataclass(frozen=True, config=CONFIG)
class SelectionSettings:
    """Ensemble selection on validation rows, and bounds that the selected models keep to together."""

    bags: int = Limit(
        default=10, ge=0, le=10_000, description="Random halves of the networks to select from; 0: only from all."
    )
    steps: int = Limit(
        default=12, ge=1, le=10_000, description="Models that a selection adds, at most, with repetition."
    )
    worth: float = Limit(
        default=2e-4,
        ge=0,
        le=1,
        description="Share of the loss that a network must save to be selected; 0: whatever it saves.",
    )
    boosted_trees: Literal["all", "one"] = Limit(
        default="all", description="Which boosted trees are trained: of all kinds and inputs, or one alone."
    )
    max_latency: Seconds | None = Limit(
        default=None, gt=0, description="Time in which all models together score one row, at most; unset: no bound."
    )
    max_parameters: int | None = Limit(
        default=None, ge=1, le=1 << 50, description="Parameters that all models together may have; unset: no bound."
    )

    @property
    def bounded(self) -> bool:
        """Tell whether there are bounds."""
        return self.max_latency is not None or self.max_parameters is not None
