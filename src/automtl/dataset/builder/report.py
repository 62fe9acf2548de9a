"""The part of a preparation's report on tasks and columns, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from automtl.dataset.builder.rows import FileRows
from automtl.errors import EncodingError
from automtl.features.chunk import Numbers, largest
from automtl.features.encoder import Encoder
from automtl.features.fitting import Fitted
from automtl.features.ranking import Ranking
from automtl.features.scaler import Scaler
from automtl.features.vocabulary import Vocabulary
from automtl.system.threads import in_threads
from automtl.tables.derive import simple_fields
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


def describe_columns(rows: FileRows, fitted: Fitted, encoder: Encoder) -> dict[str, Any]:
    """Describe each field: missing and unseen rows by part, and the values that were learned."""

    def describe(field: Field) -> dict[str, Any]:
        if field.kind is FieldKind.NUMERIC:
            return _describe_numbers(rows, Numbers(rows.columns, field, encoder.newest), encoder)
        return _describe_ids(field, fitted.rankings[rows.columns.place(field)], encoder.vocabulary(field))

    fields = simple_fields(encoder.schema)
    return dict(zip([field.name for field in fields], in_threads(describe, fields), strict=True))


def _describe_ids(field: Field, ranking: Ranking, vocabulary: Vocabulary) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": str(field.kind), "values": ranking.distinct, "known": vocabulary.values.len()}
    if vocabulary.hashed:
        about["hashed"] = vocabulary.hashed
    about |= {name: dict(zip(PARTS, getattr(ranking, name), strict=True)) for name in ("missing", "present")}
    if field.target is None:
        known = ranking.rows[:, : vocabulary.values.len()].sum(1)
        about["unseen"] = dict(zip(PARTS, (np.array(ranking.present) - known).tolist(), strict=True))
    return about


def _describe_numbers(rows: FileRows, numbers: Numbers, encoder: Encoder) -> dict[str, Any]:
    missing, low, high = np.zeros(3, np.int64), np.inf, -np.inf
    for chunk in rows.chunks:
        values = numbers.of(chunk)
        missing += np.bincount(chunk.part.compress(np.isnan(values)), minlength=3)
        trained = training(chunk, values)
        low, high = min(low, -largest(-trained)), max(high, largest(trained))
    about = {"kind": "numeric", "missing": dict(zip(PARTS, missing.tolist(), strict=True)), "least": low, "most": high}
    scaler = encoder.scalers[numbers.field.name]
    learned = {"log": scaler.log, "mean": scaler.mean, "std": scaler.std} if isinstance(scaler, Scaler) else {}
    return about | learned
