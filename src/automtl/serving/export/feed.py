"""The inputs of an exported model, made from the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from automtl.errors import EncodingError
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.histories import HistoryInputs
from automtl.serving.export.columns import RawInput
from automtl.serving.export.times import NO_NUMBER
from automtl.tables.derive import derive
from automtl.tables.schema import FieldKind
from automtl.tables.values.ids import LISTS, as_text
from automtl.tables.values.numbers import as_numbers
from automtl.tables.values.times import as_moments


@dataclass(frozen=True)
class Feed:
    """Makes the inputs of an exported model from a table, with the inputs of its rows' histories, if there are some."""

    encoder: Encoder
    table: pl.DataFrame
    histories: HistoryInputs | None = None

    def of(self, one: RawInput) -> np.ndarray:
        """Return one input. Raises EncodingError where the table cannot give it."""
        makers = {
            "text": self._text, "texts": self._texts, "number": self._number, "stamp": self._number, "time": self._time,
            "id": self._id, "ids": self._ids, "numbers": self._history_numbers, "events": self._events,
        }  # fmt: skip
        return makers[one.form](one.source)

    @cached_property
    def _derived(self) -> pl.DataFrame:
        return derive(self.table, self.encoder.schema, self.encoder.newest)

    @cached_property
    def _batch(self) -> Batch:
        return self.encoder.encode(self.table, labels=False, history=self.histories)

    def _text(self, name: str) -> np.ndarray:
        column = self._derived[name]
        texts = column if column.dtype == pl.String else as_text(column)
        return texts.fill_null("").to_numpy().astype(object)

    def _texts(self, name: str) -> np.ndarray:
        column = self._derived[name]
        if not isinstance(column.dtype, LISTS):
            raise EncodingError(f"column '{name}' holds {column.dtype}; the exported model reads lists of texts")
        lists = column.list.eval(pl.element().cast(pl.String)).to_list()
        width = max([1, *(len(values or ()) for values in lists)])
        out = np.full((len(lists), width), "", object)
        for row, values in enumerate(lists):
            for place, value in enumerate(values or ()):
                out[row, place] = value or ""
        return out

    def _number(self, name: str) -> np.ndarray:
        one = next((one for one in self.encoder.schema.fields if one.name == name), None)
        column = self.table[name]
        if column.dtype == pl.Float64:
            return column.fill_null(float("nan")).to_numpy()
        numbers = as_numbers(column, one if one is not None and one.kind is FieldKind.NUMERIC else None)
        return numbers.fill_null(float("nan")).to_numpy()

    def _time(self, name: str) -> np.ndarray:
        one = next(one for one in self.encoder.schema.fields if one.name == name)
        return as_moments(self.table[name], one).to_physical().fill_null(NO_NUMBER).to_numpy()

    def _id(self, name: str) -> np.ndarray:
        place = [one.name for one in self.encoder.layout.categorical].index(name)
        return self._batch.features.categorical[:, place].numpy().astype(np.int64)

    def _ids(self, name: str) -> np.ndarray:
        return self._list(name)

    def _events(self, name: str) -> np.ndarray:
        return self._list(name)

    def _list(self, name: str) -> np.ndarray:
        place = [one.name for one in self.encoder.layout.lists].index(name)
        return self._batch.features.multi[place].numpy().astype(np.int64)

    def _history_numbers(self, name: str) -> np.ndarray:
        if self.histories is None:
            raise EncodingError(f"input '{name}': give the inputs of histories, which the exported model does not make")
        return self.histories.numbers
