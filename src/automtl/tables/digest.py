"""The digest of a table's content."""

from __future__ import annotations

import hashlib

import polars as pl


def table_digest(table: pl.DataFrame) -> str:
    """Of the content of a table, wherever it came from and however it is kept in memory."""
    found = hashlib.sha256()
    for column in table.rechunk():
        found.update(f"{column.name} {column.dtype} {len(column)}".encode())
        found.update(column.hash(seed=0).to_numpy().tobytes())
    return found.hexdigest()[:12]
