"""Columns that were known when a model was fitted and are missing or unknown in the rows to be scored now."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from automtl.errors import EncodingError
from automtl.features.coverage import Counts, Coverage
from automtl.features.encoder import Encoder
from automtl.tables.infer import is_id_name
from automtl.tables.schema import FieldKind, Schema
from automtl.tables.values.ids import unnamed

Kind = Literal["unknown", "missing"]
KINDS: tuple[Kind, ...] = ("unknown", "missing")
MOST = 0.5  # share of the rows, or values, now
MORE = 0.25  # more than the share in any part of the rows at fit
LEAST = 100  # rows, or values: fewer may well be those of some new users
DISTINCT = 10  # different values of a key column, none of which is known
SHOWN = 10  # warnings of one table


@dataclass(frozen=True)
class Gap:
    """A field whose values are `missing` or `unknown`, as a share `now` and the highest share of a part `at_fit`.

    >>> str(Gap("is_vip", "unknown", 1.0, 0.0))
    "column 'is_vip': 100 % of the values are unknown, at fit 0 %"
    """

    column: str
    kind: Kind
    now: float
    at_fit: float

    def __str__(self) -> str:
        now, at_fit = (f"{100 * share:.3g} %" for share in (self.now, self.at_fit))
        return f"column '{self.column}': {now} of the values are {self.kind}, at fit {at_fit}"


def find_gaps(schema: Schema, now: Coverage, at_fit: Mapping[str, Coverage]) -> tuple[Gap, ...]:
    """Compare the coverage of some rows with that of each part of the rows at fit; a field has one gap at most.

    Without coverage at fit there is no gap. Values of an optional field may be missing.
    """
    if max((counts.values + counts.rows for counts in now.fields.values()), default=0) < LEAST:
        return ()
    gaps = (_gap(one.name, one.optional, now.of(one.name), at_fit) for one in schema.fields)
    return tuple(gap for gap in gaps if gap is not None)


def _gap(name: str, optional: bool, now: Counts, at_fit: Mapping[str, Coverage]) -> Gap | None:
    for kind in KINDS:
        highest = max((_share(one.of(name), kind) for one in at_fit.values() if name in one.fields), default=1.0)
        enough = (now.values if kind == "unknown" else now.rows) >= LEAST
        share = _share(now, kind)
        if enough and share > max(MOST, highest + MORE) and not (optional and kind == "missing"):
            return Gap(name, kind, share, highest)
    return None


def _share(counts: Counts, kind: Kind) -> float:
    return counts.unknown_share if kind == "unknown" else counts.missing_share


def warn_of_gaps(gaps: Sequence[Gap]) -> None:
    """Warn of each gap, of SHOWN at most, and count the others."""
    lines = [str(gap) for gap in gaps[:SHOWN]]
    if len(gaps) > SHOWN:
        lines.append(f"{len(gaps) - SHOWN} more columns that were known at fit are unknown or missing")
    for line in lines:
        warnings.warn(line, stacklevel=4)


def require_known_keys(gaps: Sequence[Gap], encoder: Encoder, coverage: Coverage, table: pl.DataFrame) -> None:
    """Raise EncodingError for a key column that was known at fit and none of whose many ids is known now."""
    keys = set(key_columns(encoder.schema))
    for gap in gaps:
        counts = coverage.of(gap.column)
        if gap.column not in keys or gap.kind != "unknown" or counts.unknown < counts.values:
            continue
        column = unnamed(table[gap.column]).drop_nulls()
        if column.n_unique() >= DISTINCT:
            known = encoder.vocabularies[gap.column].values[0]
            raise EncodingError(
                f"{gap}; now there is {column[0]!r}, at fit there was {known!r}: write ids as they were at fit, or, "
                "if they are all new, give --allow-unknown (in Python allow_unknown=True)"
            )


def key_columns(schema: Schema) -> Iterator[str]:
    """Yield the columns of ids that others are told apart by: keys of target encodings, the group, ids by name."""
    keys = {name for key in schema.target_encoding for name in key} | {schema.group}
    for one in schema.fields:
        if one.kind is FieldKind.CATEGORICAL and (one.name in keys or is_id_name(one.name)):
            yield one.name
