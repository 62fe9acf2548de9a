"""Go through a column a slice of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

SLICE = 1 << 18  # rows handled at a time, so that temporaries stay in the cache


def slices(column: pl.Series, rows: int | None = None) -> Iterator[pl.Series]:
    """Give views of `rows` rows each; SLICE by default."""
    rows = rows or SLICE
    for start in range(0, column.len(), rows):
        yield column.slice(start, rows)
