"""The last step: chunks to encoded rows. What each field became is known; rows of a split come out in their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from automtl.dataset.builder.columns import Columns
from automtl.dataset.builder.statistics import Numbers
from automtl.dataset.builder.target_encoding import History
from automtl.dataset.builder.workdir import TRAIN, Chunk, Work
from automtl.features.batch import Batch, Features
from automtl.features.encoder import LISTS, Encoder, padded
from automtl.features.hash_table import gathered
from automtl.features.scaler import Scaler
from automtl.system.threads import in_order
from automtl.tables.schema import Field, FieldKind


@dataclass(frozen=True)
class RowWriter:
    """Encodes chunk by chunk. `ids`: by place of the coded column, the id of each code; `key_ids` those of rates."""

    work: Work
    columns: Columns
    encoder: Encoder
    ids: dict[int, np.ndarray]
    key_ids: tuple[np.ndarray, ...]
    history: History | None

    def batches(self, split: int) -> Iterator[Batch]:
        """The rows of a split, a chunk at a time, several of which are encoded at once."""
        sizes = [int((chunk.part() == split).sum()) for chunk in self.work.chunks]
        starts = np.cumsum([0, *sizes])[:-1].tolist()
        return in_order(lambda given: self._encode(*given, split), zip(self.work.chunks, starts, strict=True))

    def _encode(self, chunk: Chunk, start: int, split: int) -> Batch:
        schema = self.columns.schema
        chosen = chunk.part() == split
        rows = np.flatnonzero(chosen)
        categorical, numeric = self._single(chunk, rows)
        if self.key_ids:
            numeric = np.concatenate([numeric, *self._rates(chunk, rows, start, split)], axis=1)
        multi = tuple(torch.from_numpy(self._lists(chunk, chosen, field)) for field in self._of(*LISTS))
        weight = np.ones(len(rows)) if schema.weight is None else chunk.array("weight").take(rows)
        group = None if schema.group is None else torch.from_numpy(chunk.array("group").take(rows))
        labels, mask = (chunk.array(name).take(rows, axis=0) for name in ("labels", "mask"))
        features = Features(torch.from_numpy(categorical), multi, torch.from_numpy(numeric))
        plain = [torch.from_numpy(part.astype(np.float32)) for part in (labels, mask, weight)]
        return Batch(features, plain[0], plain[1], plain[2], group)

    def _of(self, *kinds: FieldKind) -> list[Field]:
        return [field for field in self.columns.fields if field.kind in kinds]

    def _single(self, chunk: Chunk, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, (n, C) int32, those of bins last; and scaled numbers, (n, M) float32."""
        fields = {field.name: field for field in self.columns.fields}
        categorical = np.empty((len(rows), len(self.encoder.layout.categorical)), np.int32)
        given, scaled = self._of(FieldKind.CATEGORICAL), []
        for column, field in enumerate(given):
            place = self.columns.place(field)
            codes = chunk.array(f"ids.{place}").take(rows).astype(np.int32, copy=False)
            categorical[:, column] = gathered(self.ids[place], codes)
        column = len(given)
        for name, scaler in self.encoder.scalers.items():
            values = self._numbers(fields[name]).of(chunk).take(rows)
            scaled.append(scaler.scale(values))
            if isinstance(scaler, Scaler) and scaler.binned:
                categorical[:, column] = scaler.bin(values)
                column += 1
        return categorical, np.concatenate([np.empty((len(rows), 0), np.float32), *scaled], axis=1)

    def _numbers(self, field: Field) -> Numbers:
        time = self.columns.ages.get(field)
        return Numbers(self.work, self.columns, field, 0.0 if time is None else self.encoder.newest[time.name])

    def _rates(self, chunk: Chunk, rows: np.ndarray, start: int, split: int) -> Iterator[np.ndarray]:
        """(n, T + 1) float32 of each key."""
        assert self.history is not None
        for key, (names, rates) in enumerate(self.encoder.target_encodings.items()):
            ids = self.key_ids[key].take(chunk.array(f"ids.{self.columns.place(names)}").take(rows))
            yield self.history.inputs(key, ids, start) if split == TRAIN else rates.encode(ids)

    def _lists(self, chunk: Chunk, chosen: np.ndarray, field: Field) -> np.ndarray:
        place = self.columns.place(field)
        sizes = chunk.array(f"sizes.{place}").astype(np.int64)
        flat = chunk.array(f"ids.{place}").compress(np.repeat(chosen, sizes))
        return padded([(self.ids[place].take(flat), sizes[chosen])])
