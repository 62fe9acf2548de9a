"""Coverage: what is missing and unknown in each kind of field, in memory, in parts and by `prepare`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automtl.config import make_settings
from automtl.experiment import fit_table
from automtl.experiment.prepare import prepare_table
from automtl.features.coverage import Counts, Coverage
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.predictor import Predictor
from automtl.tables.schema import Field, FieldKind, Schema, Task

FIELDS = (
    Field("user", FieldKind.CATEGORICAL),
    Field("shop", FieldKind.CATEGORICAL, max_ids=1, hashed_ids=3),
    Field("price", FieldKind.NUMERIC),
    Field("plain", FieldKind.NUMERIC, form="z-score"),
    Field("pieces", FieldKind.NUMERIC, form="piecewise"),
    Field("tags", FieldKind.MULTI),
    Field("words", FieldKind.MULTI, delimiter="|"),
    Field("seen", FieldKind.SEQUENCE, target="user"),
    Field("at", FieldKind.TIME),
    Field("day", FieldKind.TIME, parts=("weekday",)),
    Field("both", FieldKind.CROSS, of=("user", "shop"), max_ids=3, hashed_ids=2),
)
SCHEMA = Schema(FIELDS, (Task("click"),), target_encoding=(("user",),))
SETTINGS = EncoderSettings(min_count=1)


def table() -> pl.DataFrame:
    """Ten rows, in which all values recur."""
    moment = [datetime(2024, 1, day, day) for day in (1, 2, 3, 4, 5)]
    return pl.DataFrame({
        "user": ["a", "b", "c", "a", "b"] * 2, "shop": [1, 2, 1, 2, 1] * 2, "price": [1.0, 2.0, 3.0, 4.0, 5.0] * 2,
        "plain": [1, 2, 3, 4, 5] * 2, "pieces": [0.5, 1.5, 2.5, 3.5, 4.5] * 2, "tags": [[1], [1, 2], [2], [3], [1]] * 2,
        "words": ["x|y", "x", "y", "x|y", "x"] * 2, "seen": [["a"], ["b", "a"], ["c"], ["a"], ["b"]] * 2,
        "at": moment * 2, "day": [one.date() for one in moment] * 2, "click": [0, 1, 0, 1, 1, 1, 0, 1, 0, 0],
    })  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    with pytest.warns(UserWarning, match="most frequent"):
        return Encoder.fit(table(), SCHEMA, SETTINGS, 0)[0]


def new_rows() -> pl.DataFrame:
    moment = [datetime(2024, 1, 6, 23), None, datetime(2024, 1, 7, 22), datetime(2024, 1, 1)]
    return pl.DataFrame({
        "user": ["a", "nobody", None, "b"], "shop": [1, 77, 78, None], "price": [1.0, None, float("nan"), 2.0],
        "plain": [None, 1, 2, 3], "pieces": [None, None, None, 1.5], "tags": [[1, 9], [], None, [8]],
        "words": ["x|z", "", None, "q"], "seen": [["a", "who"], [], ["who"], None],
        "at": moment, "day": [one and one.date() for one in moment],
    })  # fmt: skip


EXPECTED = {
    "user": Counts(4, 1, 3, 1),
    "shop": Counts(4, 1, 3, 2),  # hashed ids are not their own
    "price": Counts(4, 2, 2, 0),
    "plain": Counts(4, 1, 3, 0),  # that none was missing in the training rows does not matter
    "pieces": Counts(4, 3, 1, 0),
    "tags": Counts(4, 2, 3, 2),
    "words": Counts(4, 2, 3, 2),
    "seen": Counts(4, 2, 3, 2),
    "at": Counts(4, 1, 3, 0),  # an hour that is new is no unknown time
    "day": Counts(4, 1, 3, 0),
    "both": Counts(4, 2, 2, 1),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_kind_of_field_is_counted(encoder: Encoder, name: str) -> None:
    coverage = encoder.encode(new_rows(), labels=False).coverage
    assert coverage is not None
    assert coverage.of(name) == EXPECTED[name]
    assert set(coverage.fields) == set(EXPECTED)


def test_a_stream_of_parts_adds_up_to_the_whole(encoder: Encoder) -> None:
    rows = pl.concat([new_rows()] * 5)
    for size in (1, 3, 7):
        parts = [part.coverage or Coverage() for part in encoder.encode_parts(rows, size, labels=False)]
        assert sum(parts, Coverage()) == encoder.encode(rows, labels=False).coverage
    assert len(parts) == 3
    empty = encoder.encode(rows.clear(), labels=False).coverage
    assert empty is not None and set(empty.fields.values()) == {Counts()}


def test_shares_are_of_rows_and_of_values() -> None:
    tags = EXPECTED["tags"]
    assert (tags.missing_share, tags.unknown_share) == (0.5, 2 / 3)
    assert (Counts().missing_share, Counts().unknown_share) == (0.0, 0.0)


def test_plain_values_give_the_coverage_back() -> None:
    coverage = Coverage(EXPECTED)
    assert Coverage.from_dict(coverage.to_dict()) == coverage


def test_only_all_rows_together_have_coverage(encoder: Encoder) -> None:
    batch = encoder.encode(new_rows(), labels=False)
    assert batch.take(slice(0, 2)).coverage is None
    assert batch.for_layout(encoder.layout).coverage == batch.coverage


@pytest.mark.parametrize("loader", [{}, {"mapped": True, "part_rows": 50}])
def test_a_fit_of_a_table_and_one_of_a_prepared_table_keep_the_same_coverage(
    tmp_path: Path, loader: dict[str, object]
) -> None:
    rng = np.random.default_rng(0)
    log = pl.concat([table()] * 40).with_columns(
        pl.Series("user", rng.integers(0, 150, 400)), pl.Series("click", rng.integers(0, 2, 400)),
        price=pl.when(pl.Series(rng.random(400) < 0.3)).then(None).otherwise("price"),
        seen=pl.Series([[int(user)] * (user % 3) for user in rng.integers(0, 170, 400)]),
    )  # fmt: skip
    log.write_parquet(tmp_path / "log.parquet")
    schema = Schema(tuple(one for one in FIELDS if one.name not in ("shop", "both")), (Task("click"),))
    settings = make_settings(
        {"model": "mmoe", "report": False, "presets": [], "ensemble": False, "training": {"epochs": 1}}
    )
    made = prepare_table(
        str(tmp_path / "log.parquet"), out=tmp_path / "prepared", schema=schema, settings=settings, chunk_rows=70
    )
    settings = make_settings(settings.to_dict() | {"data_loader": loader})
    fit_table(log, schema=schema, settings=settings, out=tmp_path / "run")
    at_fit = Predictor.load(tmp_path / "run").at_fit
    assert set(at_fit) == {"train", "valid", "test"}
    assert at_fit == fit_table(tmp_path / "prepared", settings=settings).predictor.at_fit == made.coverage
    assert at_fit["test"].of("user").unknown > 0 and at_fit["train"].of("price").missing > 0
    assert at_fit["valid"].of("seen").missing > 0 and at_fit["valid"].of("seen").unknown > 0
