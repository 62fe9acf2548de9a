"""Texts to ids: 0 is missing, 1 is unknown, known values start at 2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

MISSING, UNKNOWN, FIRST = 0, 1, 2


class Vocabulary:
    """The known values of one field, most frequent first (ties by value)."""

    def __init__(self, values: Sequence[str]) -> None:
        self.values = pl.Series("value", values, dtype=pl.String)
        ids = np.arange(FIRST, FIRST + len(self.values), dtype=np.int64)
        self._table = pl.DataFrame({"value": self.values, "id": ids})

    def __len__(self) -> int:
        """Number of ids, those for missing and unknown included."""
        return FIRST + self.values.len()

    @staticmethod
    def fit(texts: pl.Series, min_count: int) -> Vocabulary:
        """All values that occur at least `min_count` times."""
        counts = texts.drop_nulls().alias("value").value_counts(name="rows")
        kept = counts.filter(pl.col("rows") >= min_count).sort(["rows", "value"], descending=[True, False])
        return Vocabulary(kept["value"].to_list())

    def encode(self, texts: pl.Series) -> np.ndarray:
        """(N,) int64 ids; never fails on a value that was not seen."""
        rows = pl.DataFrame({"value": texts.cast(pl.String)})
        ids = rows.join(self._table, on="value", how="left", maintain_order="left")["id"]
        missing = texts.is_null().to_numpy()
        return np.where(missing, MISSING, ids.fill_null(UNKNOWN).to_numpy()).astype(np.int64)
