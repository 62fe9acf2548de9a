"""Turn texts of a CSV file into numbers or truths where that changes no value: `007`, `+5` and `1e5` stay text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import or_

import polars as pl

from automtl.tables.values.ids import ABSENT, unnamed

HEAD = 200  # texts by which real text columns are told
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
DECIMAL = r"^(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]+)$"
GROUPED = r"^-?(?:0|[1-9][0-9]{0,2}(?:\.[0-9]{3})?)$"  # numbers, or thousands, as the options of the field say
LENGTH = 16  # of texts of at most 15 digits and a point, which survive in any float
LARGE = 2.0**53  # below this, floats hold every whole number


def narrow_columns(table: pl.DataFrame) -> pl.DataFrame:
    """Narrow each column of texts."""
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return pl.DataFrame(dict(zip(table.columns, pool.map(narrow, table.get_columns()), strict=True)))


def narrow(texts: pl.Series) -> pl.Series:
    """Convert texts to Int64, Float64 or Boolean if every one reads back as the same value; else they stay.

    Texts that say there is no value fit every type.
    """
    name, texts = texts.name, unnamed(texts)
    head = texts.head(HEAD).drop_nulls()
    if head.is_empty():
        head = texts.drop_nulls().head(HEAD)
    for convert in (integers, _decimals, _truths):
        if not head.is_empty() and convert(head) is not None and (found := convert(texts)) is not None:
            return found.alias(name)
    return texts.alias(name)


def integers(texts: pl.Series) -> pl.Series | None:
    """Convert texts to Int64 if each is exactly what its number prints; None otherwise."""
    numbers = texts.cast(pl.Int64, strict=False)
    signed = ((texts < "1") & (texts != "0")).fill_null(False)  # + and - come before digits
    if signed.any():
        odd = texts.str.starts_with("+") | texts.str.starts_with("-0") | (signed & texts.str.starts_with("0"))
        return _unless(numbers.is_null() | odd, texts, numbers)
    return _unless(numbers.is_null(), texts, numbers)


def _decimals(texts: pl.Series) -> pl.Series | None:
    """Convert texts to Float64 if each is a decimal number that a float holds as it is written.

    They stay if all are groups of three digits, which may be thousands.
    """
    numbers = texts.cast(pl.Float64, strict=False)
    read = (numbers.abs() < LARGE).fill_null(False)
    left, long = pl.DataFrame({"text": texts, "number": numbers}).filter(read), (texts.str.len_bytes() > LENGTH).any()
    for test in (_printed, _plain) if long else (_plain, _printed):
        left = left.filter(~test(left["text"], left["number"]))
    if not left.is_empty() or texts.filter(read).str.contains(GROUPED).all():
        return None
    return _unless(~read, texts, numbers)


def _plain(texts: pl.Series, numbers: pl.Series) -> pl.Series:
    """Tell which texts are decimal numbers of few enough digits."""
    return texts.str.contains(DECIMAL) & (texts.str.len_bytes() <= LENGTH)


def _printed(texts: pl.Series, numbers: pl.Series) -> pl.Series:
    """Tell which texts are what the float prints, here or in Python."""
    return numbers.cast(pl.String) == texts.str.replace("e-0", "e-", literal=True)


def _truths(texts: pl.Series) -> pl.Series | None:
    """Convert texts to Boolean if each is true or false, in small or capital letters or with a capital first."""
    true, false = (reduce(or_, [texts == one for one in some]) for some in (TRUE, FALSE))
    return _unless(~(true | false), texts, true)


def _unless(odd: pl.Series, texts: pl.Series, found: pl.Series) -> pl.Series | None:
    """Return what was found, without values where texts are absent; None if another text is odd."""
    wrong = odd.fill_null(False) & texts.is_not_null()
    if not wrong.any():
        return found
    if not texts.filter(wrong).str.strip_chars().is_in(ABSENT).all():
        return None
    return found.set(wrong, None)
