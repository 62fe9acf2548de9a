"""Vocabularies: the fast forms equal a plain dictionary."""

from __future__ import annotations

from collections import Counter as PlainCounter
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automtl.features import hash_table as codes
from automtl.features import vocabulary
from automtl.features.encoder import Encoder
from automtl.features.hash_table import HashTable
from automtl.features.settings import EncoderSettings
from automtl.features.vocabulary import FIRST, MISSING, UNKNOWN, Vocabulary
from automtl.system.hashing import hash_integers
from automtl.system.slices import slices
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.values.ids import as_text
from tests.features.chunks import fit, fit_encode

WHOLE = st.one_of(st.integers(-20, 20), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53 + 1, -(2**53) - 1]))
FLOATS = st.one_of(st.integers(-20, 20).map(float), st.floats(), st.sampled_from([0.5, -0.0, 1e300]))
TEXTS = st.one_of(st.text(max_size=3), st.integers(-20, 20).map(str), st.sampled_from(["01", "+1", "-0", "", "1.0"]))


def columns(dtype: type[pl.DataType], values: st.SearchStrategy[object]) -> st.SearchStrategy[pl.Series]:
    return st.lists(st.one_of(st.none(), values), max_size=60).map(lambda drawn: pl.Series("x", drawn, dtype=dtype))


COLUMNS = st.one_of(
    columns(pl.Int64, WHOLE),
    columns(pl.Int8, st.integers(-128, 127)),
    columns(pl.UInt64, st.one_of(st.integers(0, 20), st.integers(0, 2**64 - 1))),
    columns(pl.Float64, FLOATS),
    columns(pl.Float32, st.integers(-20, 20).map(float)),
    columns(pl.String, TEXTS),
    columns(pl.Boolean, st.booleans()),
    columns(pl.Categorical, TEXTS),
)


def texts(known: Vocabulary) -> list[str]:
    found: list[str] = known.values.cast(pl.String).to_list()
    return found


def is_whole(text: str) -> bool:
    try:
        return str(int(text)) == text and -(2**63) <= int(text) < 2**63
    except ValueError:
        return False


def plain_order(texts: Sequence[str | None], min_count: int) -> list[str]:
    """The rule in plain Python: by rows, then whole numbers by size, then texts by their bytes."""
    counts = PlainCounter(text for text in texts if text is not None)

    def place(text: str) -> tuple[int, bool, int, bytes]:
        whole = is_whole(text)
        return (-counts[text], not whole, int(text) if whole else 0, text.encode())

    return sorted((text for text in counts if counts[text] >= min_count), key=place)


def plain_ids(known: list[str], texts: Sequence[str | None]) -> list[int]:
    ids = {text: FIRST + place for place, text in enumerate(known)}
    return [MISSING if text is None else ids.get(text, UNKNOWN) for text in texts]


@settings(max_examples=300, deadline=None)
@given(COLUMNS, COLUMNS, st.integers(1, 3))
def test_ids_are_those_of_a_plain_dictionary_of_texts(train: pl.Series, new: pl.Series, min_count: int) -> None:
    fitted = fit(train, min_count)
    known = plain_order(as_text(train).to_list(), min_count)
    assert texts(fitted) == known
    assert fitted.encode(train).tolist() == plain_ids(known, as_text(train).to_list())
    assert fitted.encode(new).tolist() == plain_ids(known, as_text(new).to_list())
    again, own = fit_encode(train, min_count)
    assert texts(again) == known
    assert own.tolist() == fitted.encode(train).tolist()
    again = Vocabulary.from_arrays(fitted.to_arrays())
    assert again.encode(new).tolist() == fitted.encode(new).tolist()


@settings(max_examples=100, deadline=None)
@given(COLUMNS, COLUMNS, st.integers(1, 7), st.randoms(use_true_random=False))
def test_slices_and_the_order_of_rows_do_not_matter(column: pl.Series, new: pl.Series, rows: int, random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(column.len()))
    random.shuffle(order)
    whole = fit(column, 1)
    assert texts(fit(column.gather(order), 1)) == texts(whole)
    parts = fit(column, 1, rows)
    assert texts(parts) == texts(whole)
    ids = [part for piece in slices(new, rows) for part in whole.encode(piece).tolist()]
    assert ids == whole.encode(new).tolist() == parts.encode(new).tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-(2**52), 2**52)), min_size=1, max_size=40))
def test_integers_whole_floats_and_their_texts_have_the_same_ids(values: list[int | None]) -> None:
    forms = [pl.Series(values, dtype=pl.Int64)]
    forms += [forms[0].cast(pl.String), forms[0].cast(pl.Float64), forms[0].cast(pl.Int128)]
    fitted = [fit(form, 1) for form in forms]
    for vocabulary_of_form in fitted:
        assert texts(vocabulary_of_form) == texts(fitted[0])
        for form in forms:
            np.testing.assert_array_equal(vocabulary_of_form.encode(form), fitted[0].encode(forms[0]))


def test_a_large_column_is_encoded_as_a_small_one_is() -> None:
    """Many slices, tables that grow, numbers near together and far apart."""
    rng = np.random.default_rng(0)
    near = rng.integers(0, 50_000, 600_000)
    scattered = rng.integers(-(2**63), 2**63 - 1, 50_000)[near]
    for column in (pl.Series(near), pl.Series(scattered), "item number " + pl.Series(near).cast(pl.String)):
        fitted = fit(column, 2)
        known = plain_order(as_text(column).to_list(), 2)
        assert texts(fitted) == known
        assert fitted.encode(column).tolist() == plain_ids(known, as_text(column).to_list())
        _, own = fit_encode(column, 2)
        np.testing.assert_array_equal(own, fitted.encode(column))
        assert fitted.encode(column).dtype == np.int32


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-5, 2000), max_size=50), max_size=6), st.integers(0, 62))
def test_a_table_of_codes_stands_equal_places_and_growth(parts: list[list[int]], kept_bits: int) -> None:
    """Hashes cut to a few bits make keys want the same place."""
    table, known = HashTable(), {}
    for part in parts:
        keys = np.array(part, np.int64)
        hashes = hash_integers(keys) & np.uint64(2**64 - 2**kept_bits)
        found, fresh = table.add(keys, hashes)
        for row in fresh:
            assert part[row] not in known
            known[part[row]] = len(known) + 1
        assert found.tolist() == [known[key] for key in part]
    everything = np.arange(-5, 2001)
    found = table.find(everything, hash_integers(everything) & np.uint64(2**64 - 2**kept_bits))
    assert found.tolist() == [known.get(key, codes.ABSENT) for key in everything.tolist()]


@pytest.mark.parametrize("width", [10, 100_000])
def test_numbers_outside_the_known_range_are_unknown(width: int) -> None:
    fitted = Vocabulary(["5", str(5 + width)])
    low, high = -(2**63), 2**63 - 1
    assert fitted.encode(pl.Series([low, 4, 5, 6, 5 + width, 6 + width, high, None])).tolist() == [
        1,
        1,
        2,
        1,
        3,
        1,
        1,
        0,
    ]


def test_a_saved_order_of_values_is_kept() -> None:
    assert Vocabulary(["7", "10", "9"]).encode(pl.Series(["9", "10", "7"])).tolist() == [4, 3, 2]
    assert Vocabulary(["7", "x", "9"]).encode(pl.Series([9, 8, 7])).tolist() == [4, 1, 2]
    assert vocabulary.UNKNOWN == 1


def test_hashed_fields_may_hold_words_for_no_value() -> None:
    rows = pl.DataFrame({"x": ["a", "b", "NA", "c", None, "2.0", "2"] * 2, "y": [0, 1] * 7})
    fields = (Field("x", FieldKind.CATEGORICAL, max_ids=2, hashed_ids=50),)
    with pytest.warns(UserWarning, match="share the ids of 50 hashes|most frequent"):
        encoder, batch = Encoder.fit(rows, Schema(fields, (Task("y"),)), EncoderSettings(min_count=1), 0)
    ids = batch.features.categorical[:7, 0].tolist()
    assert ids[2] == ids[4] == 0 and ids[5] == ids[6] and len(set(ids)) == 5
    assert encoder.encode(rows).features.categorical[:7, 0].tolist() == ids
