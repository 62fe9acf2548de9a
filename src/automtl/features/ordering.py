"""The order of values in a vocabulary: most rows first; ties: whole numbers by size, then texts by their bytes."""

from __future__ import annotations

import numpy as np
import polars as pl

from automtl.tables.values.ids import whole_texts

PREFIX = 8  # the bytes that are compared as one number


def vocabulary_order(values: pl.Series, rows: np.ndarray) -> np.ndarray:
    """Sort different values, Int64 or String, each with its number of `rows` (V,); returns their places, (V,)."""
    by_value = _by_size(values)
    order: np.ndarray = by_value[_most_first(rows[by_value])]
    return order


def _by_size(values: pl.Series) -> np.ndarray:
    if values.dtype == pl.Int64:
        return np.argsort(values.to_numpy())
    whole = whole_texts(values)
    if whole.null_count() == whole.len():
        return by_bytes(values)
    numbers, texts = (np.flatnonzero(part.to_numpy()) for part in (whole.is_not_null(), whole.is_null()))
    first = numbers[np.argsort(whole.gather(numbers).to_numpy())]
    return np.concatenate([first, texts[by_bytes(values.gather(texts))]])


def by_bytes(texts: pl.Series) -> np.ndarray:
    """Sort texts without nulls by their bytes; returns their places, (V,).

    The bytes after the common beginning of all texts are sorted as one number; only texts that are equal so far are
    compared in full, which takes five times as long.
    """
    if texts.len() == 0:
        return np.zeros(0, np.int64)
    first, last = (str(extreme).encode() for extreme in (texts.min(), texts.max()))
    common = next((place for place, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))
    key = _numbers_at(texts, common)
    order = np.argsort(key)
    equal = key[order[1:]] == key[order[:-1]]
    tied = np.flatnonzero(np.r_[False, equal] | np.r_[equal, False])
    rows = order[tied]
    full = pl.DataFrame([pl.Series("key", key[rows]), texts.gather(rows).alias("text")])
    order[tied] = rows[full.select(pl.arg_sort_by("key", "text")).to_series().to_numpy()]
    return order


def _numbers_at(texts: pl.Series, start: int) -> np.ndarray:
    """Read the PREFIX bytes from `start` on as big-endian numbers, (V,) uint64, with 0 after a text's end."""
    content = np.frombuffer(texts.str.join("").item().encode() + bytes(PREFIX), np.uint8)
    sizes = texts.str.len_bytes().to_numpy().astype(np.int64)
    first = np.cumsum(sizes) - sizes + start
    key = np.zeros(len(sizes), np.uint64)
    for byte in range(PREFIX):
        there = content.take(np.minimum(first + byte, len(content) - 1)).astype(np.uint64)
        key = (key << np.uint64(8)) | np.where(sizes > start + byte, there, 0)
    return key


def _most_first(rows: np.ndarray) -> np.ndarray:
    """Sort by descending rows, stably; nearly all numbers fit 16 bits, for which numpy uses a radix sort."""
    top = np.iinfo(np.uint16).max
    order = np.argsort((top - np.minimum(rows, top)).astype(np.uint16), kind="stable")
    head = order[: int((rows >= top).sum())]
    order[: len(head)] = head[np.argsort(-rows[head], kind="stable")]
    return order
