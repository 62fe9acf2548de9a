"""Settings of the encoder."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.schema import CONFIG, Field, NumericForm


@settings_dataclass(frozen=True, config=CONFIG)
class EncoderSettings:
    """How columns become inputs; a field of the schema may say otherwise.

    Ids: `min_count` rows make a value known; of more than `max_ids` values the rest is unknown, or hashed into
    `hashed_ids` ids. Numbers: their `form` (docs/features.md) and their quantile `bins` (0: none).
    `joint_numeric_above`: with more numeric columns than this they share one field, else each has its own.
    `max_values`: of a row's list or sequence. `target_encoding`: whether the schema's keys are encoded, out of so many
    `folds` where no time orders the rows, with `smoothing` rows at the mean label.
    """

    min_count: int = Limit(default=3, ge=1)
    target_encoding: bool = True
    folds: int = Limit(default=5, ge=2)
    smoothing: float = Limit(default=20.0, gt=0)
    bins: int = Limit(default=32, ge=0, le=1024)
    joint_numeric_above: int = Limit(default=8, ge=0)
    max_values: int = Limit(default=50, ge=1)
    form: NumericForm = "auto"
    max_ids: int = Limit(default=50_000_000, ge=1)
    hashed_ids: int = Limit(default=0, ge=0)

    def of(self, field: Field) -> EncoderSettings:
        """The settings of one field: what it says itself goes first."""
        names = ("min_count", "max_values", "form", "max_ids", "hashed_ids")
        own = {name: value for name in names if (value := getattr(field, name)) is not None}
        return replace(self, **own) if own else self
