"""Settings of the encoder."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.schema import CONFIG, Field, NumericForm


@settings_dataclass(frozen=True, config=CONFIG)
class EncoderSettings:
    """How columns become inputs; a field of the schema may say otherwise."""

    min_count: int = Limit(default=3, ge=1, description="Rows that make a value known.")
    target_encoding: bool = Limit(default=True, description="Whether the schema's keys are encoded.")
    folds: int = Limit(default=5, ge=2, description="Of target encoding, where no time column orders the rows.")
    smoothing: float = Limit(default=20.0, gt=0, description="Rows at the mean label that are added to each value.")
    bins: int = Limit(default=32, ge=0, le=1024, description="Quantile bins of a number; 0: none.")
    joint_numeric_above: int = Limit(
        default=8, ge=0, description="With more numeric columns than this they share one field, else each has its own."
    )
    max_values: int = Limit(default=50, ge=1, description="Values that are read of a list or sequence.")
    form: NumericForm = Limit(default="auto", description="Form of a number: docs/features.md.")
    max_ids: int = Limit(default=50_000_000, ge=1, description="Known values of a field; rarer ones are unknown.")
    hashed_ids: int = Limit(default=0, ge=0, description="Ids that the values beyond `max_ids` share; 0: none.")

    def of(self, field: Field) -> EncoderSettings:
        """The settings of one field: what it says itself goes first."""
        names = ("min_count", "max_values", "form", "max_ids", "hashed_ids")
        own = {name: value for name in names if (value := getattr(field, name)) is not None}
        return replace(self, **own) if own else self
