"""No row sees its own label in its target encoding nor, where time orders them, any row of the same or a later time.

Over random tables, through the whole encoder: what is compared is what a model gets, with the common standardisation
of the training rows undone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.scaler import LIMIT
from automtl.features.settings import EncoderSettings
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings
from automtl.tables.table import write_table
from tests.dataset.builder.tables import streamed

FIELDS: list[dict[str, Any]] = [{"name": name, "kind": "categorical"} for name in ("user", "item")]
TASKS: list[dict[str, Any]] = [{"name": "click"}, {"name": "buy", "condition": "click = 1"}, {"name": "amount"}]
KEYS = [["user"], ["item"], ["user", "item"]]
KINDS: dict[str, Any] = {"date": pl.Date, "number": pl.Int64, "text": pl.String}


def schema(time: bool, weight: bool) -> Schema:
    tasks = [*TASKS[:2], TASKS[2] | {"kind": "regression"}]
    values = {"fields": FIELDS, "tasks": tasks, "target_encoding": KEYS}
    return Schema.from_dict(values | ({"time": "when"} if time else {}) | ({"weight": "w"} if weight else {}))


def table(rng: np.random.Generator, rows: int, kind: str) -> pl.DataFrame:
    click = rng.integers(0, 2, rows)
    click[:4] = [0, 1, 1, 0]
    buy = [None if value < 0.2 else int(value > 0.6) for value in rng.random(rows)]
    buy[1:3] = [0, 1]  # type: ignore[list-item]
    when = pl.Series([0] * 4 + rng.integers(1, rows // 3, rows - 4).tolist())
    return pl.DataFrame(
        {
            "user": [None if value == 0 else f"u{value}" for value in rng.integers(0, 5, rows)],
            "item": rng.integers(0, 4, rows),
            "when": when.cast(pl.Int32).cast(KINDS[kind])
            if kind != "text"
            else "2024-01-" + (when + 1).cast(pl.String).str.zfill(2),
            "w": rng.random(rows) + 0.1,
            "click": click,
            "buy": pl.Series(buy, dtype=pl.Int64),
            "amount": rng.normal(size=rows),
        }
    )


ENCODING = EncoderSettings(min_count=1)


def in_memory(rows: pl.DataFrame, given: Schema) -> tuple[Encoder, Batch]:
    return Encoder.fit(rows, given, ENCODING, 0)


def in_pieces(rows: pl.DataFrame, given: Schema) -> tuple[Encoder, Batch]:
    """The same rows as `automtl prepare` encodes them, 13 at a time; rows that are not trained on stand among them."""
    other = pl.concat([rows.head(9).with_columns(part=pl.lit(name)) for name in ("valid", "test")])
    table = pl.concat([other.head(9), rows.with_columns(part=pl.lit("train")), other.tail(9)])
    with tempfile.TemporaryDirectory() as folder:
        write_table(table, Path(folder) / "log.parquet")
        schema = replace(given, split="part")
        encoder, parts, _ = streamed(
            Path(folder) / "work", Path(folder) / "log.parquet", schema, ENCODING, SplitSettings(), rows=13
        )
        return encoder, parts[0].each(torch.clone)


def raw_rates(
    rows: pl.DataFrame, given: Schema, fit: Callable[[pl.DataFrame, Schema], tuple[Encoder, Batch]] = in_memory
) -> np.ndarray:
    """(N, keys x (T + 1)): the inputs of the training rows, before they are standardised; NaN where they were cut."""
    encoder, batch = fit(rows, given)
    numbers = batch.features.numeric.double().numpy()
    mean, std = (
        np.concatenate([getattr(rates, name) for rates in encoder.target_encodings.values()])
        for name in ("mean", "std")
    )
    found: np.ndarray = np.where(np.abs(numbers) < LIMIT, numbers * std + mean, np.nan)
    return found


def same(before: np.ndarray, after: np.ndarray) -> None:
    known = ~np.isnan(before) & ~np.isnan(after)
    assert known.mean() > 0.5
    np.testing.assert_allclose(before[known], after[known], rtol=1e-4, atol=1e-4)


def other_labels(rows: pl.DataFrame, where: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Labels of the rows where it is true flipped, moved or made missing."""
    change = pl.Series(where)
    amount = pl.Series(rng.normal(size=rows.height) + 3)
    return rows.with_columns(
        click=(1 - rows["click"]).zip_with(change, rows["click"]),
        buy=(1 - rows["buy"].fill_null(0)).zip_with(change, rows["buy"]),
        amount=amount.zip_with(change, rows["amount"]),
    )


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(24, 60), st.booleans())
def test_out_of_fold_rates_do_not_know_the_rows_own_labels(seed: int, size: int, weight: bool) -> None:
    rng = np.random.default_rng(seed)
    rows, row = table(rng, size, "number"), int(rng.integers(4, size))
    changed = other_labels(rows, np.arange(size) == row, rng)
    given = schema(time=False, weight=weight)
    same(raw_rates(rows, given)[row], raw_rates(changed, given)[row])


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(24, 60), st.sampled_from(sorted(KINDS)), st.booleans())
def test_rates_in_time_order_know_earlier_rows_alone(seed: int, size: int, kind: str, weight: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = table(rng, size, kind)
    when = rows["when"].rank("dense").to_numpy()
    row = int(rng.integers(4, size))
    late = when >= when[row]
    changed = other_labels(rows, late, rng)
    ids = pl.Series(late & (np.arange(size) != row))
    changed = changed.with_columns(
        user=pl.Series(["u1"] * size).zip_with(ids, rows["user"]),
        item=pl.Series([1] * size).zip_with(ids, rows["item"]),
    )
    given = schema(time=True, weight=weight)
    same(raw_rates(rows, given)[row], raw_rates(changed, given)[row])


def test_a_rate_does_know_the_labels_it_may() -> None:
    """Else the laws above would hold of constants, too."""
    rng = np.random.default_rng(0)
    rows = table(rng, 60, "number")
    for time in (False, True):
        given = schema(time=time, weight=False)
        first = rows["when"] == rows["when"].min()
        changed = other_labels(rows, first.to_numpy(), rng)
        late = (rows["when"] == rows["when"].max()).to_numpy()
        assert (np.abs(raw_rates(rows, given)[late] - raw_rates(changed, given)[late]) > 1e-3).any()


@settings(max_examples=4, phases=[Phase.generate])
@given(st.integers(0, 10_000), st.integers(24, 40), st.booleans())
def test_out_of_fold_rates_made_in_pieces_do_not_know_the_rows_own_labels(seed: int, size: int, weight: bool) -> None:
    rng = np.random.default_rng(seed)
    rows, row = table(rng, size, "number"), int(rng.integers(9, size))
    changed = other_labels(rows, np.arange(size) == row, rng)
    given = schema(time=False, weight=weight)
    same(raw_rates(rows, given, in_pieces)[row], raw_rates(changed, given, in_pieces)[row])


@settings(max_examples=4, phases=[Phase.generate])
@given(st.integers(0, 10_000), st.integers(24, 40), st.sampled_from(sorted(KINDS)), st.booleans())
def test_rates_in_time_order_made_in_pieces_know_earlier_rows_alone(
    seed: int, size: int, kind: str, weight: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = table(rng, size, kind)
    when = rows["when"].rank("dense").to_numpy()
    row = int(rng.integers(9, size))
    changed = other_labels(rows, when >= when[row], rng)
    given = schema(time=True, weight=weight)
    same(raw_rates(rows, given, in_pieces)[row], raw_rates(changed, given, in_pieces)[row])
