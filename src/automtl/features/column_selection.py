"""Encoders of fewer inputs or tasks, and the rows that they would have encoded, from rows that are there already."""

from __future__ import annotations

from dataclasses import replace

import torch

from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.target_encoding import TargetEncoding
from automtl.tables.schema import Schema


def without_target_encoding(encoder: Encoder) -> Encoder:
    """The encoder that the setting `target_encoding: false` gives. It keeps the first numeric columns."""
    return replace(encoder, settings=replace(encoder.settings, target_encoding=False), target_encodings={})


def select_tasks(encoder: Encoder, schema: Schema) -> Encoder:
    """The encoder that a schema of some of the tasks gives, with target encodings of these tasks alone."""
    places = _places(encoder, schema)
    return replace(
        encoder,
        schema=schema,
        target_encodings={key: _of(one, places) for key, one in encoder.target_encodings.items()},
    )


def select_inputs(encoder: Encoder, schema: Schema, target_encoding: bool) -> Encoder:
    """The encoder of some of the tasks, and with target encodings only if they are wanted."""
    return select_tasks(encoder if target_encoding else without_target_encoding(encoder), schema)


def select_task_rows(rows: Batch, encoder: Encoder, schema: Schema) -> Batch:
    """The rows as `select_tasks(encoder, schema)` encodes them, from rows by `encoder`.

    Labels, mask and target encodings are copied.
    """
    places, width = _places(encoder, schema), len(encoder.schema.tasks) + 1
    first = encoder.layout.num_numeric - width * len(encoder.target_encodings)
    keys = range(first, encoder.layout.num_numeric, width)
    columns = torch.tensor([*range(first), *(start + place for start in keys for place in (*places, width - 1))])
    numeric = rows.features.numeric.index_select(1, columns.to(torch.int64))
    labels, mask = (tensor.index_select(1, torch.tensor(places)) for tensor in (rows.labels, rows.mask))
    return replace(rows, features=replace(rows.features, numeric=numeric), labels=labels, mask=mask)


def _places(encoder: Encoder, schema: Schema) -> list[int]:
    return [encoder.schema.task_names.index(name) for name in schema.task_names]


def _of(encoding: TargetEncoding, places: list[int]) -> TargetEncoding:
    """Rates of the tasks at these places; `mean` and `std` are of the log of rows, too."""
    last = [*places, len(encoding.prior)]
    return replace(
        encoding,
        sums=encoding.sums[:, places], counts=encoding.counts[:, places], prior=encoding.prior[places],
        binary=encoding.binary[places], mean=encoding.mean[last], std=encoding.std[last],
    )  # fmt: skip
