"""The part of a preparation's report on tasks and columns, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automtl.dataset.builder.rows import FileRows
from automtl.errors import EncodingError
from automtl.features.chunk import Numbers, largest
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.fitting import Fitted
from automtl.features.ranking import Ranking
from automtl.features.scaler import Scaler
from automtl.features.vocabulary import Vocabulary
from automtl.system.threads import in_threads
from automtl.tables.derive import simple_fields, simple_fields_of
from automtl.tables.roles import PARTS, Chunk, summarize_labels, training
from automtl.tables.schema import Field, FieldKind, Schema


def describe_tasks(chunks: Sequence[Chunk], schema: Schema) -> dict[str, Any]:
    """Count and average labels by task and part. Raises an AutomtlError where nothing can be learned or tested."""
    held, total = summarize_labels(chunks, schema.tasks)
    if schema.weight is not None:
        weights = sum(np.bincount(chunk.part, chunk.array("weight"), minlength=3) for chunk in chunks)
        for name, weight in zip(PARTS, np.atleast_1d(weights), strict=True):
            if weight == 0:
                raise EncodingError(f"weight column '{schema.weight}' is 0 in all {name} rows; correct it")
    return {
        task.name: {
            name: {"labels": int(held[part, place]), "mean": total[part, place] / max(held[part, place], 1)}
            for part, name in enumerate(PARTS)
        }
        for place, task in enumerate(schema.tasks)
    }


def describe_columns(
    rows: FileRows, fitted: Fitted, encoder: Encoder, coverage: Mapping[str, Coverage]
) -> dict[str, Any]:
    """Describe each encoded field by the values that were learned, and its coverage by part."""
    owner = {simple.name: field.name for field in encoder.schema.fields for simple in simple_fields_of(field)}

    def describe(field: Field) -> dict[str, Any]:
        counts = {part: one.of(owner[field.name]) for part, one in coverage.items()}
        missing = {"missing": {part: one.missing for part, one in counts.items()}}
        if field.kind is FieldKind.NUMERIC:
            return _describe_numbers(rows, Numbers(rows.columns, field, encoder.newest), encoder) | missing
        about = _describe_ids(field, fitted.rankings[rows.columns.place(field)], encoder.vocabulary(field)) | missing
        about["present"] = {part: one.values for part, one in counts.items()}
        return about | {"unseen": {part: one.unknown for part, one in counts.items()}}

    fields = simple_fields(encoder.schema)
    return dict(zip([field.name for field in fields], in_threads(describe, fields), strict=True))


def _describe_ids(field: Field, ranking: Ranking, vocabulary: Vocabulary) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": str(field.kind), "values": ranking.distinct, "known": vocabulary.values.len()}
    return about | ({"hashed": vocabulary.hashed} if vocabulary.hashed else {})


def _describe_numbers(rows: FileRows, numbers: Numbers, encoder: Encoder) -> dict[str, Any]:
    low, high = np.inf, -np.inf
    for chunk in rows.chunks:
        trained = training(chunk, numbers.of(chunk))
        low, high = min(low, -largest(-trained)), max(high, largest(trained))
    about = {"kind": "numeric", "least": low, "most": high}
    scaler = encoder.scalers[numbers.field.name]
    learned = {"log": scaler.log, "mean": scaler.mean, "std": scaler.std} if isinstance(scaler, Scaler) else {}
    return about | learned
