"""Columns that are looked up by the ids of a row: what CatBoost knows of each id. B rows, C fields, K tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from automtl.errors import FileError

TYPES = {"table_field": np.int32, "table_start": np.int64, "table_value": np.float32}


@dataclass(frozen=True, eq=False)
class LookupTables:
    """Tables by id, one after another: table k is of the field `table_field[k]`, and has a number for each of its ids.

    - `table_field`: (K,) int32
    - `table_start`: (K + 1,) int64: the numbers of table k are `table_value[table_start[k]:table_start[k + 1]]`
    - `table_value`: float32, finite
    """

    table_field: np.ndarray
    table_start: np.ndarray
    table_value: np.ndarray

    def __post_init__(self) -> None:
        """Check types, shapes and values. Raises FileError that names the array."""
        for name, kind in TYPES.items():
            array = getattr(self, name)
            if array.dtype != kind or array.ndim != 1:
                raise FileError(
                    f"'{name}' is {array.dtype.name} of shape {array.shape}; expected {np.dtype(kind).name}"
                )
        start = self.table_start
        if len(start) != len(self.table_field) + 1 or start[0] != 0 or start[-1] != len(self.table_value):
            raise FileError("'table_start' does not fit the tables")
        if (start[1:] <= start[:-1]).any():
            raise FileError("'table_start' does not ascend")
        if not np.isfinite(self.table_value).all():
            raise FileError("'table_value' has values that are not finite")

    @property
    def num_tables(self) -> int:
        """K, the number of tables."""
        return len(self.table_field)

    @staticmethod
    def of(tables: Sequence[tuple[int, np.ndarray]]) -> LookupTables:
        """Join tables, each of a field, and with a number for each of its ids."""
        return LookupTables(
            np.array([place for place, _ in tables], np.int32),
            np.cumsum([0, *(len(values) for _, values in tables)], dtype=np.int64),
            np.concatenate([np.zeros(0), *(values for _, values in tables)]).astype(np.float32),
        )

    @staticmethod
    def split(arrays: Mapping[str, np.ndarray]) -> tuple[LookupTables, dict[str, np.ndarray]]:
        """Take tables, if there are some, out of arrays by name; return them and the other arrays. Raises FileError."""
        if not TYPES.keys() & arrays.keys():
            return NO_TABLES, dict(arrays)
        for name in TYPES:
            if name not in arrays:
                raise FileError(f"'{name}' is missing")
        rest = {name: array for name, array in arrays.items() if name not in TYPES}
        return LookupTables(**{name: arrays[name] for name in TYPES}), rest

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def require_sizes(self, sizes: Sequence[int]) -> None:
        """Check that tables are of fields with so many ids. Raises FileError."""
        places, lengths = self.table_field, np.diff(self.table_start)
        known = (places >= 0) & (places < len(sizes))
        if not known.all() or (np.array([0, *sizes])[1 + places] != lengths).any():
            raise FileError("'table_field' or 'table_start' does not fit the fields of the model")

    def columns(self, ids: np.ndarray) -> np.ndarray:
        """Look up the columns (B, K) of rows with ids (B, C), which are in the range of their fields."""
        found: np.ndarray = self.table_value[self.table_start[:-1] + ids[:, self.table_field]]
        return found


NO_TABLES = LookupTables.of([])
