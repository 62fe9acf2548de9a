"""Rows of Python values are encoded to the bits that a table of them has, or refused in its words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automtl.errors import AutomtlError
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.row_encoder import RowEncoder
from automtl.tables.schema import Schema
from automtl.tables.table import read_table
from tests.forms.kinds import KINDS, SHANGHAI
from tests.forms.law import SETTINGS, choose, differences, encoded, make_table, quietly

GROUPS = [list(KINDS)[start::8] for start in range(8)]
some_kinds = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4)
Row = Mapping[str, Any]
ODD: tuple[Callable[[Any], Any], ...] = (
    lambda value: None, lambda value: nan, lambda value: inf, lambda value: 2**70, lambda value: -0.0,
    lambda value: 1e17, lambda value: True, str, lambda value: [value], lambda value: {"a": value},
    lambda value: np.array([value]), lambda value: "\ud800", lambda value: b"x", lambda value: pd.NA,
    lambda value: pd.NaT, lambda value: " NA ", lambda value: "1.50", lambda value: "1,5",
    lambda value: Decimal("2.50"), lambda value: dt.datetime(2024, 2, 3, 4, 5),
    lambda value: dt.datetime(2024, 2, 3, 4, 5, tzinfo=SHANGHAI), lambda value: dt.date(2024, 2, 3),
    lambda value: "2024-02-03T04:05:06+08:00", lambda value: np.float32(0.1), lambda value: np.datetime64("2024-02-03"),
    lambda value: np.int64(7), lambda value: np.float64(7), lambda value: np.str_("a"), lambda value: np.bool_(True),
    lambda value: 1_706_700_000, lambda value: 1_706_700_000_000, lambda value: 2.0**53, lambda value: 2**63,
    lambda value: object(), lambda value: "1.5e+17", lambda value: "a\x00b",
)  # fmt: skip


def outcome(encode: Callable[[Any], Batch], encoder: Encoder, rows: Any) -> Any:
    """Return the bits of rows and their coverage, or the error."""
    try:
        with quietly():
            batch = encode(rows)
    except AutomtlError as error:
        return type(error), str(error)
    return encoded(batch, encoder), batch.coverage


def unlike(own: RowEncoder, rows: Any) -> list[str]:
    """Name what differs between rows and a table of them."""
    encoder = own.encoder
    found = outcome(own.encode, encoder, rows)
    expected = outcome(lambda rows: encoder.encode(read_table(rows), labels=False), encoder, rows)
    if isinstance(found[0], type) or isinstance(expected[0], type):
        return [] if found == expected else [f"{found} and {expected}"]
    return differences(found[0], expected[0]) + ([] if found[1] == expected[1] else ["coverage"])


def drawn(seed: int, kinds: Sequence[str], folder: Path) -> tuple[RowEncoder, list[Row], Random] | None:
    """Fit an encoder on a random table, and draw rows of it, in another form; None where nothing can be learned."""
    rng = Random(seed)
    table = make_table(rng, kinds)
    forms = [choose(rng, table, form) for form in ("pandas frame of objects", "rows")]
    if None in forms:
        return None
    fitted, rows = (form.source(folder, seed, table.marks) for form in forms if form is not None)
    try:
        with quietly():
            encoder, _ = Encoder.fit(read_table(fitted), Schema.from_dict(table.schema), SETTINGS, 0)
    except AutomtlError:
        return None
    return RowEncoder(encoder), rows, rng


def changed(rng: Random, row: Row) -> Row:
    """Change a row in an odd way: a value of another type, a missing or a further column."""
    made, name = dict(row), rng.choice(list(row) or ["item"])
    kind = rng.randrange(8)
    if kind == 0:
        made.pop(name, None)
    elif kind == 1:
        made[rng.choice(["more", "été", 7, "tab\t"])] = rng.choice(ODD)(1)  # type: ignore[index]
    else:
        made[name] = rng.choice(ODD)(made.get(name))
    return made


@pytest.mark.parametrize("kinds", GROUPS, ids=range(8))
def test_rows_of_every_kind_are_encoded_as_a_table_of_them(kinds: list[str], tmp_path: Path) -> None:
    for seed in range(3):
        if (found := drawn(seed, kinds, tmp_path)) is None:
            continue
        own, rows, rng = found
        for size in (1, 1, 1, 2, 5, 17, len(rows), 50):
            assert unlike(own, rng.choices(rows, k=size)) == []


@settings(max_examples=60)
@given(seed=st.integers(0, 2**16), kinds=some_kinds)
def test_odd_rows_are_encoded_as_a_table_of_them_or_refused_in_its_words(
    seed: int, kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = drawn(seed, kinds, tmp_path_factory.getbasetemp())
    if found is None:
        return
    own, rows, rng = found
    for _ in range(12):
        batch = rng.choices(rows, k=rng.choice([1, 1, 2, 7]))
        batch = [changed(rng, row) if rng.random() < 0.6 else row for row in batch]
        assert unlike(own, batch) == [], batch
