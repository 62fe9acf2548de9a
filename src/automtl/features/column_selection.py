"""Make encoders of fewer inputs or tasks, and the rows that they would encode, from existing ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.histories import Group
from automtl.features.settings import EncoderSettings
from automtl.features.target_encoding import TargetEncoding
from automtl.tables.schema import Schema


def without_target_encoding(encoder: Encoder) -> Encoder:
    """Return the encoder that the setting `target_encoding: false` gives; it keeps the first numeric columns."""
    return replace(encoder, settings=replace(encoder.settings, target_encoding=False), target_encodings={})


def without_histories(encoder: Encoder) -> Encoder:
    """Return the encoder that the setting `history: false` gives; it keeps the first numeric columns and lists."""
    return replace(encoder, settings=replace(encoder.settings, history=False), histories=None)


def without_sequences(encoder: Encoder) -> Encoder:
    """Return the encoder that the setting `sequences: false` gives; it keeps the first lists."""
    histories = None if encoder.histories is None else encoder.histories.without_sequence()
    return replace(encoder, settings=replace(encoder.settings, sequences=False), histories=histories)


@dataclass(frozen=True)
class InputGroups:
    """The groups of inputs that a model has besides those of the row itself, as far as its encoder makes them."""

    target_encoding: bool = True
    history: bool = True
    sequences: bool = True

    @staticmethod
    def of(settings: EncoderSettings) -> InputGroups:
        """Return the groups that an encoder of these settings makes."""
        return InputGroups(settings.target_encoding, settings.history, settings.sequences)

    def __or__(self, other: InputGroups) -> InputGroups:
        """Return the groups that one or the other has."""
        return InputGroups(*(getattr(self, one.name) or getattr(other, one.name) for one in fields(self)))

    def select(self, encoder: Encoder) -> Encoder:
        """Return the encoder of these groups alone: its inputs are the first numeric columns and lists of all."""
        encoder = encoder if self.history else without_histories(encoder)
        encoder = encoder if self.sequences else without_sequences(encoder)
        return encoder if self.target_encoding else without_target_encoding(encoder)


EVERY_GROUP = InputGroups()


def select_histories(encoder: Encoder, left_out: Sequence[Group]) -> Encoder:
    """Return the encoder without some groups of histories."""
    assert encoder.histories is not None
    return replace(encoder, histories=encoder.histories.without(left_out)[0])


def select_history_rows(rows: Batch, encoder: Encoder, left_out: Sequence[Group]) -> Batch:
    """Turn rows of `encoder` into rows as `select_histories(encoder, left_out)` encodes them; numbers are copied."""
    assert encoder.histories is not None
    first = rows.features.numeric.shape[1] - encoder.histories.width
    kept = [first + place for place in encoder.histories.without(left_out)[1]]
    numeric = rows.features.numeric.index_select(1, torch.tensor([*range(first), *kept], dtype=torch.int64))
    return replace(rows, features=replace(rows.features, numeric=numeric))


def select_tasks(encoder: Encoder, schema: Schema) -> Encoder:
    """Return the encoder that a schema of some of the tasks gives, with target encodings of these tasks only."""
    places = _places(encoder, schema)
    encodings = {key: _of(one, places) for key, one in encoder.target_encodings.items()}
    return replace(encoder, schema=schema, target_encodings=encodings)


def select_inputs(encoder: Encoder, schema: Schema, settings: EncoderSettings) -> Encoder:
    """Return the encoder of some of the tasks, with target encodings and histories only if they are wanted."""
    return select_tasks(InputGroups.of(settings).select(encoder), schema)


def select_task_rows(rows: Batch, encoder: Encoder, schema: Schema) -> Batch:
    """Turn rows of `encoder` into rows as `select_tasks(encoder, schema)` encodes them.

    Labels, mask and numbers are copied. Histories stay as they are.
    """
    places, width = _places(encoder, schema), len(encoder.schema.tasks) + 1
    total = encoder.layout.num_numeric
    last = total - (0 if encoder.histories is None else encoder.histories.width)
    first = last - width * len(encoder.target_encodings)
    kept = (start + place for start in range(first, last, width) for place in (*places, width - 1))
    columns = torch.tensor([*range(first), *kept, *range(last, total)])
    numeric = rows.features.numeric.index_select(1, columns.to(torch.int64))
    labels, mask = (tensor.index_select(1, torch.tensor(places)) for tensor in (rows.labels, rows.mask))
    return replace(rows, features=replace(rows.features, numeric=numeric), labels=labels, mask=mask)


def _places(encoder: Encoder, schema: Schema) -> list[int]:
    return [encoder.schema.task_names.index(name) for name in schema.task_names]


def _of(encoding: TargetEncoding, places: list[int]) -> TargetEncoding:
    """Select the tasks at some places; `mean` and `std` also have an entry for the log of rows, the last one."""
    last = [*places, len(encoding.prior)]
    return replace(
        encoding,
        sums=encoding.sums[:, places], counts=encoding.counts[:, places], prior=encoding.prior[places],
        binary=encoding.binary[places], mean=encoding.mean[last], std=encoding.std[last],
    )  # fmt: skip
