"""Columns that carry little: constant, mostly missing, ids of one row."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from automtl.tables.infer import ID_VALUES, is_id_name, left_out
from automtl.tables.quality.base import Audit, Finding, share_of
from automtl.tables.schema import FieldKind
from automtl.tables.values.ids import TEXTS, unnamed
from automtl.tables.values.numbers import present_texts

MISSING = 0.5  # share of rows
SHOWN = 40  # letters of a value
MIXED = 0.1  # share of rows that are no numbers
SEEN_ONCE = 0.1  # share of training rows
UNSEEN = 0.2  # share of test rows


def constant_columns(audit: Audit) -> Iterator[Finding]:
    """Find columns of one value (or none) on training rows, also those without a role in the schema."""
    schema, table = audit.schema, audit.split.train
    apart = {*schema.task_names, schema.weight, schema.group, schema.time, schema.split}
    for name in table.columns:
        column = table[name]
        if name in apart or column.head(1000).n_unique() > 1 or column.n_unique() > 1:
            continue
        value = repr(column.head(1).to_list()[0])
        evidence = f"holds {value[:SHOWN]}{'...' * (len(value) > SHOWN)} in all {table.height:,} training rows"
        yield Finding("constant", "note", name, evidence, 1.0, f"it tells nothing: --drop '{name}'")


def unread_columns(audit: Audit) -> Iterator[Finding]:
    """Find columns without a role whose type is never taken for an input."""
    schema, table = audit.schema, audit.split.train
    apart = {*schema.columns, *schema.task_names, schema.weight, schema.group, schema.time, schema.split}
    for name in table.columns:
        column = table[name]
        if name in apart or left_out(column) in (None, "constant", "all null"):
            continue
        if isinstance(column.dtype, pl.List | pl.Array):
            what = "lists of fractions, or of nothing,"
            remedy = f"give lists of ids, a column for each number of a vector, or --drop '{name}'"
        else:
            what, remedy = "a type that is no input", f"convert it to numbers or text, or --drop '{name}'"
        evidence = f"holds {what} ({column.dtype}) and is left out of {table.height:,} rows"
        yield Finding("unread", "note", name, evidence, 0.0, remedy)


def mixed_columns(audit: Audit) -> Iterator[Finding]:
    """Find text ids that look like numbers but for a few values."""
    for field in audit.single_fields:
        column = audit.train[field.name]
        if field.kind is not FieldKind.CATEGORICAL or column.dtype not in TEXTS or is_id_name(field.name):
            continue
        texts = present_texts(column).drop_nulls()
        odd = texts.filter(texts.cast(pl.Float64, strict=False).is_null())
        if texts.n_unique() > ID_VALUES and 0 < odd.len() < MIXED * texts.len():
            evidence = (
                f"is read as ids: numbers, but for {share_of(texts.len(), odd.len() / texts.len())}, such as {odd[0]!r}"
            )
            remedy = "if it is a quantity, make these null, or correct them"
            yield Finding("mixed", "note", field.name, evidence, odd.len() / texts.len(), remedy)


def missing_values(audit: Audit) -> Iterator[Finding]:
    """Find inputs that are null or NaN in more than MISSING of the training rows."""
    table = audit.split.train
    for name in audit.schema.columns:
        column = table[name]
        nan = int(unnamed(column).is_nan().sum()) if column.dtype.is_float() else 0
        share = (column.null_count() + nan) / table.height
        if MISSING < share < 1:
            remedy = f"check how it is recorded; --drop '{name}' if it is not available when scoring"
            yield Finding("missing", "note", name, f"is missing in {share_of(table.height, share)}", share, remedy)


def ids_of_few_rows(audit: Audit) -> Iterator[Finding]:
    """Find ids whose values mostly occur once, or are new in many test rows."""
    train, test = audit.split.train, audit.test
    for field in audit.single_fields:
        if field.kind is not FieldKind.CATEGORICAL:
            continue
        counts = train[field.name].alias("value").drop_nulls().value_counts(name="rows")
        if counts.height + int(train[field.name].null_count() > 0) <= ID_VALUES:
            continue
        once = int((counts["rows"] == 1).sum())
        if once > SEEN_ONCE * train.height:
            evidence = (
                f"{once:,} of its {counts.height:,} values occur once, in {share_of(train.height, once / train.height)}"
            )
            remedy = f"an id of one row cannot be learned: give a coarser column, or --drop '{field.name}'"
            yield Finding("seen once", "note", field.name, evidence, once / train.height, remedy)
        known, values = counts["value"], unnamed(test[field.name]).drop_nulls()
        if known.dtype != values.dtype:
            known, values = known.cast(pl.String), values.cast(pl.String)
        fresh = 1 - float(values.is_in(known.implode()).mean() or 0.0)  # type: ignore[arg-type]
        if fresh > UNSEEN:
            evidence = f"is new in {share_of(test.height, fresh)} of the test part"
            remedy = "scores of such rows rest on the other columns; describe the id by columns of its properties"
            yield Finding("unseen", "note", field.name, evidence, fresh, remedy)
