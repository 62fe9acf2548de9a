"""Settings of the encoder."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.entries import CONFIG
from automtl.tables.schema import Field, NumericForm


@settings_dataclass(frozen=True, config=CONFIG)
class EncoderSettings:
    """How columns become inputs; a field of the schema may say otherwise."""

    min_count: int = Limit(
        default=3, ge=1, le=1_000_000_000_000, description="Training rows that make a value of an id known."
    )
    target_encoding: bool = Limit(default=True, description="Whether the keys of the schema are target-encoded.")
    history: bool = Limit(default=True, description="Whether the schema's histories of earlier rows are inputs.")
    sequences: bool = Limit(default=True, description="Whether the last events of histories are inputs one by one.")
    prune_histories: bool = Limit(
        default=True, description="Whether histories that do not pay on validation rows are left out."
    )
    folds: int = Limit(
        default=5, ge=2, le=1_000, description="Folds of target encoding, where no time orders the rows."
    )
    smoothing: float = Limit(
        default=20.0,
        gt=0,
        le=1e12,
        description="Rows at the mean label that smooth target encodings; 1.5 and 0.15 times as many for histories.",
    )
    bins: int = Limit(default=32, ge=0, le=1024, description="Quantile bins of a number; 0: none.")
    joint_numeric_above: int = Limit(
        default=8,
        ge=0,
        le=1_000_000,
        description="Numeric columns above which all share one field; else each has its own.",
    )
    max_values: int = Limit(
        default=50, ge=1, le=1_000_000, description="Values of a row's list or sequence that are read."
    )
    form: NumericForm = Limit(default="auto", description="How numbers become inputs.")
    max_ids: int = Limit(
        default=50_000_000, ge=1, le=2_000_000_000, description="Values of an id that are known, the most frequent."
    )
    hashed_ids: int = Limit(
        default=0, ge=0, le=2_000_000_000, description="Ids that all further values share by hash; 0: unknown."
    )

    def of(self, field: Field) -> EncoderSettings:
        """Return the settings of one field, whose own options come first."""
        names = ("min_count", "max_values", "form", "max_ids", "hashed_ids")
        own = {name: value for name in names if (value := getattr(field, name)) is not None}
        return replace(self, **own) if own else self
