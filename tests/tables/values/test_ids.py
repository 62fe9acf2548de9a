"""Ids have one form, whatever type, text or piece they come in."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automtl.errors import EncodingError
from automtl.tables.values.ids import ABSENT, as_ids, as_integers, as_text, canonical_texts, require_ids, written_alike

FORMS: dict[str, list[Any]] = {
    "2": [2, 2.0, "2", "2.0", "2.00", Decimal("2.00")],
    "0": [0, 0.0, -0.0, "0", "0.0", "-0.0", False, "false", "False", "FALSE"],
    "1": [1, True, "true", "True", "TRUE", "1.0"],
    "-3": [-3, -3.0, "-3", "-3.0"],
    "2.5": [2.5, "2.5", "2.50", Decimal("2.50")],
    "0.0000001": [1e-7, "1e-07", "1E-7", "0.0000001", "0.00000010"],
    "1152921504606846977": [2**60 + 1, str(2**60 + 1), Decimal(2**60 + 1), f"{2**60 + 1}.0"],
    "007": ["007"],
    "+5": ["+5"],
    " 5": [" 5"],
    "1e5": ["1e5"],
    "12e4": ["12e4"],
    "00.5": ["00.5"],
    "9" * 41: ["9" * 41, "9" * 41 + ".00"],
    "Tru": ["Tru"],
    "yes": ["yes"],
}
ABSENT_FORMS = [None, float("nan"), float("inf"), *ABSENT, " NA ", "\tnan"]


@pytest.mark.parametrize("text", FORMS)
def test_the_forms_of_a_value_are_one_id(text: str) -> None:
    for form in FORMS[text]:
        assert as_text(pl.Series([form])).to_list() == [text], form
        assert as_text(as_ids(pl.Series([form]))).to_list() == [text], form
        if isinstance(form, str):
            assert as_text(pl.Series([form], dtype=pl.Categorical)).to_list() == [text]


@pytest.mark.parametrize("form", ABSENT_FORMS, ids=repr)
def test_what_says_that_there_is_no_value_is_missing(form: Any) -> None:
    assert as_text(pl.Series([form])).to_list() == as_ids(pl.Series([form])).to_list() == [None]


ODD = st.from_regex(r"\A-?[0-9 ]{0,2}\.?[0-9]{0,3}(e-?[0-9])?\Z", fullmatch=False)
TEXTS = st.one_of(st.text(max_size=4), ODD, st.sampled_from([*ABSENT, "true", "2.0", "a"]))


def plain(text: str) -> str | None:
    """The rule in plain Python."""
    if text.strip(" \t\r\n") in ABSENT:
        return None
    if text.lower() in ("true", "false") and text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return "1" if text.lower() == "true" else "0"
    if re.fullmatch(r"-?[0-9](\.[0-9]+)?[eE]-[0-9]+", text):
        text = format(Decimal(text), "f")
    if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", text):
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" and "." not in text else text


@settings(max_examples=100)
@given(st.lists(TEXTS, max_size=20))
def test_texts_are_rewritten_one_by_one_and_once(texts: list[str]) -> None:
    texts = [text for text in texts if not re.fullmatch(r"-?\d\.\d+[eE]\+?\d+", text)]  # these are refused
    column = pl.Series(texts, dtype=pl.String)
    found = canonical_texts(column)
    assert column.to_list() == texts
    assert found.to_list() == [canonical_texts(pl.Series([one])).item() for one in texts]
    assert canonical_texts(found).equals(found, null_equal=True)
    for one, text in zip(found, texts, strict=True):
        if text != "-0" and not re.search("e-", text, re.IGNORECASE) and not re.search(r"[^\x00-\x7f]", text):
            assert one == plain(text), text


@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=9), st.sampled_from([pl.Int64, pl.Int128])
)
def test_integers_stay_exact(values: list[int | None], dtype: Any) -> None:
    column = pl.Series(values, dtype=dtype)
    found = as_integers(column)
    assert found is not None
    assert found.to_list() == values
    assert as_text(column).to_list() == [None if value is None else str(value) for value in values]


def test_what_holds_no_ids_or_rounded_ones_is_refused_by_name() -> None:
    odd: list[tuple[pl.Series, str]] = [
        (pl.Series("x", [2.0**53]), "'x'.*9007199254740992.*rounded.*integers or as text"),
        (pl.Series("x", [2.0**24], dtype=pl.Float32), "'x'.*16777216.*rounded"),
        (pl.Series("x", [[1]]), "'x'.*List.*kind: multi"),
        (pl.Series("x", [{"a": 1}]), "'x'.*Struct"),
        (pl.Series("x", [0]).cast(pl.Datetime), "'x'.*kind: time"),
        (pl.Series("x", [0]).cast(pl.Duration), "'x'.*convert it to text"),
    ]
    for column, message in odd:
        with pytest.raises(EncodingError, match=message):
            require_ids(column)
    require_ids(pl.Series("x", [2.0**53 - 1, float("inf"), float("nan"), None]))
    require_ids(pl.Series("x", [2**60]))


@pytest.mark.parametrize("text", ["1.152921504606847e+18", "1.5E18", "-1.5e+20"])
def test_a_text_that_a_program_has_rounded_is_refused(text: str) -> None:
    with pytest.raises(EncodingError, match="'x'.*rounded"):
        as_text(pl.Series("x", ["a", text]))
    assert as_text(pl.Series([float(text) * 1e100])).len() == 1


def test_texts_that_are_written_alike_were_missing_first() -> None:
    column = pl.Series("^x$", [" Ab ", "NA", None, "NULL"])
    assert written_alike(column, ["strip", "lower"]).to_list() == ["ab", None, None, None]
    lists = pl.Series("*", [[" Ab ", "None"], None])
    assert written_alike(lists, ["strip", "lower"]).to_list() == [["ab", None], None]
