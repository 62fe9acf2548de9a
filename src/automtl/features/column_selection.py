"""Encoders of fewer inputs or tasks, and the rows that they would have encoded, from rows that are there already."""

from __future__ import annotations

from dataclasses import replace

import torch

from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.target_encoding import Rates
from automtl.tables.schema import Schema


def without_rates(encoder: Encoder) -> Encoder:
    """The encoder that the setting `rates: false` gives. Its numeric columns are the first ones of the other's."""
    return replace(encoder, settings=replace(encoder.settings, rates=False), rates={})


def of_tasks(encoder: Encoder, schema: Schema) -> Encoder:
    """The encoder that a schema of some of the tasks gives: historical rates are of these tasks alone."""
    places = _places(encoder, schema)
    return replace(encoder, schema=schema, rates={key: _of(rates, places) for key, rates in encoder.rates.items()})


def narrowed(encoder: Encoder, schema: Schema, rates: bool) -> Encoder:
    """Both: of the tasks of the schema, and with the historical rates only if they are wanted."""
    return of_tasks(encoder if rates else without_rates(encoder), schema)


def rows_of_tasks(rows: Batch, encoder: Encoder, schema: Schema) -> Batch:
    """Of rows by `encoder`, what `of_tasks(encoder, schema)` encodes: labels, mask and rates are copied."""
    places, width = _places(encoder, schema), len(encoder.schema.tasks) + 1
    first = encoder.layout.num_numeric - width * len(encoder.rates)
    keys = range(first, encoder.layout.num_numeric, width)
    columns = torch.tensor([*range(first), *(start + place for start in keys for place in (*places, width - 1))])
    numeric = rows.features.numeric.index_select(1, columns.to(torch.int64))
    labels, mask = (tensor.index_select(1, torch.tensor(places)) for tensor in (rows.labels, rows.mask))
    return replace(rows, features=replace(rows.features, numeric=numeric), labels=labels, mask=mask)


def _places(encoder: Encoder, schema: Schema) -> list[int]:
    return [encoder.schema.task_names.index(name) for name in schema.task_names]


def _of(rates: Rates, places: list[int]) -> Rates:
    """Rates of the tasks at these places; `mean` and `std` are of the log of rows, too."""
    last = [*places, len(rates.prior)]
    return replace(
        rates,
        sums=rates.sums[:, places], counts=rates.counts[:, places], prior=rates.prior[places],
        binary=rates.binary[places], mean=rates.mean[last], std=rates.std[last],
    )  # fmt: skip
