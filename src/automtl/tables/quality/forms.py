"""Values that are written in ways that other tools lose, or that make one value of two, or two of one."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from automtl.tables.quality.base import Audit, Finding, share_of
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import LEADING_ZEROS, float_limit

CODES, MARKS = r"^[A-Z]{2,3}$", ("NA",)  # country codes and the like; marks of 'no value' that may be one of them
CODE_SHARE, CODE_VALUES = 0.9, 5  # of the other values, which are at least so many
ALIKE = 0.001  # share of rows whose text differs from a more frequent one in blanks or case only


def leading_zeros(audit: Audit) -> Iterator[Finding]:
    """Find ids with leading zeros, which are texts here and numbers to other tools."""
    for field, counts in _texts(audit):
        found = counts.filter(counts["value"].str.contains(LEADING_ZEROS).fill_null(False))
        if found.height:
            share = _total(found["rows"]) / audit.train.height
            evidence = f"has leading zeros in {share_of(audit.train.height, share)}, such as {_shown(found)}"
            remedy = "they are kept as text; a tool that rewrites them as numbers makes other ids of them"
            yield Finding("leading zeros", "note", field.name, evidence, share, remedy)


def forms_of_one_value(audit: Audit) -> Iterator[Finding]:
    """Find texts that differ but are read as one id, such as 1.1 and 1.10, 2 and 2.0, true and 1."""
    for field, counts in _texts(audit):
        found = _groups(counts, pl.col("form"))
        if found.height:
            share = _total(found["fewer"]) / audit.train.height
            evidence = f"{found['shown'][0]}, which are read as one value, in {share_of(audit.train.height, share)}"
            remedy = "if they are two (versions, codes), write them as no numbers, such as 'v1.10'"
            yield Finding("one value", "note", field.name, f"holds {evidence}", share, remedy)


def nearly_alike_texts(audit: Audit) -> Iterator[Finding]:
    """Find ids that differ in outer blanks or in case only."""
    for field, counts in _texts(audit):
        forms = counts
        if counts["form"].is_duplicated().any():
            forms = counts.sort("rows", "value").group_by("form").agg(pl.col("value").last(), pl.col("rows").sum())
        found = _groups(forms, pl.col("form").str.strip_chars().str.to_lowercase())
        share = _total(found["fewer"]) / audit.train.height
        if share >= ALIKE:
            evidence = f"{found['shown'][0]}, which differ in blanks or case only, in "
            remedy = "if they are one value, say 'text: [strip, lower]' for it in the schema"
            where = share_of(audit.train.height, share)
            yield Finding("nearly alike", "note", field.name, f"holds {evidence}{where}", share, remedy)


def codes_read_as_missing(audit: Audit) -> Iterator[Finding]:
    """Find marks of 'no value' among codes of two or three letters, of which they may be one."""
    for field, counts in _texts(audit):
        marks = counts.filter(counts["value"].is_in(MARKS).fill_null(False))
        others = counts.drop_nulls("form")["form"].sort()
        codes = int(others.str.contains(CODES).sum())
        if marks.height and others.len() >= CODE_VALUES and codes >= CODE_SHARE * others.len():
            share = _total(marks["rows"]) / audit.train.height
            evidence = f"is {_shown(marks)} in {share_of(audit.train.height, share)}, among codes such as {others[0]!r}"
            remedy = "it is read as missing; if it is a code (Namibia), write it in another way"
            yield Finding("missing marks", "note", field.name, evidence, share, remedy)


def rounded_numbers(audit: Audit) -> Iterator[Finding]:
    """Find whole numbers in columns of floats that do not hold all of this size."""
    for field in audit.single_fields:
        column = audit.train[field.name].alias("value")
        if not column.dtype.is_float():
            continue
        column, limit = column.filter(column.is_finite()), float_limit(column.dtype)
        large = column.filter(column.abs() >= limit)
        if large.len() and bool((column == column.round()).all()):
            share = large.len() / audit.train.height
            evidence = f"holds {large[0]:.0f} as {column.dtype}, and {limit:.0f} or more in "
            remedy = "ids of this size may have been rounded, so that two are one: write integers or text"
            where = share_of(audit.train.height, share)
            yield Finding("rounded", "note", field.name, evidence + where, share, remedy)


def _texts(audit: Audit) -> Iterator[tuple[Field, pl.DataFrame]]:
    """Yield fields of one id a row that are text, with their values, canonical forms and numbers of rows."""
    fields = {field.name: field for field in audit.single_fields if field.kind is FieldKind.CATEGORICAL}
    for name, counts in audit.text_counts.items():
        if name in fields:
            yield fields[name], counts


def _groups(counts: pl.DataFrame, key: pl.Expr) -> pl.DataFrame:
    """Group different texts by a key: two that are `shown`, and the rows of all but the most frequent one."""
    alike = counts.drop_nulls("form").filter(key.is_duplicated()).sort("rows", "value", descending=[True, False])
    several = alike.group_by(key.alias("key")).agg("value", fewer=pl.col("rows").sum() - pl.col("rows").max())
    shown = [f"{values[0]!r} and {values[1]!r}" for values in several["value"].to_list()]
    return several.with_columns(shown=pl.Series(shown, dtype=pl.String)).sort(
        "fewer", "shown", descending=[True, False]
    )


def _total(rows: pl.Series) -> int:
    return int(rows.sum())


def _shown(counts: pl.DataFrame) -> str:
    return repr(counts.sort("rows", "value", descending=[True, False])["value"][0])
