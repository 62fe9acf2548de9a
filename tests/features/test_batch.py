"""Batches are slices of contiguous tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from automtl.features import batch
from automtl.features.batch import Batch, Features, buffer_spans, iterate
from automtl.nn.embedding import FieldEmbedding
from tests.conftest import small_batch, small_layout


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(rows: int, buffer_rows: int | None = None) -> Batch:
    """Rows whose every tensor says which row it is."""
    number = torch.arange(rows)
    column = number.float().unsqueeze(1)
    features = Features(number.unsqueeze(1), (number.unsqueeze(1),), column)
    return Batch(features, column, column, number.float(), number, buffer_rows)


def numbers(parts: list[Batch]) -> list[int]:
    """The rows in the order in which they came, after a check that their tensors stayed together."""
    for part in parts:
        for tensor in part.tensors:
            assert torch.equal(tensor.reshape(-1).long(), part.weight.long())
    return [number for part in parts for number in part.weight.long().tolist()]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def use(rows: int) -> None:
        monkeypatch.setattr(batch, "BLOCK_BYTES", rows * numbered(1).num_bytes)

    return use


def test_batches_in_order_are_views_that_cover_every_row_once() -> None:
    rows = small_batch(10)
    parts = list(iterate(rows, 4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert parts[1].labels.data_ptr() == rows.labels[4:].data_ptr()
    assert torch.equal(torch.cat([part.labels for part in parts]), rows.labels)


@given(
    rows=st.integers(0, 300),
    size=st.integers(1, 40),
    buffer_rows=st.none() | st.integers(1, 400),
    seed=st.integers(0, 5),
)
def test_each_row_comes_once_in_batches_of_the_size_that_was_asked_for(
    rows: int, size: int, buffer_rows: int | None, seed: int
) -> None:
    parts = list(iterate(numbered(rows, buffer_rows), size, seeded(seed)))
    assert sorted(numbers(parts)) == list(range(rows))
    assert all(len(part) == size for part in parts[:-1])


@given(rows=st.integers(1, 200), buffer_rows=st.integers(1, 100), block=st.integers(1, 50), seed=st.integers(0, 5))
def test_buffers_hold_each_row_once_and_no_more_rows_than_fit(
    rows: int, buffer_rows: int, block: int, seed: int
) -> None:
    found = [[row for span in spans for row in range(span.start, span.stop)] for spans in buffer_spans(
        rows, buffer_rows, block, seeded(seed)
    )]  # fmt: skip
    assert all(len(held) == buffer_rows for held in found[:-1])
    assert 0 < len(found[-1]) <= buffer_rows
    assert sorted(row for held in found for row in held) == list(range(rows))


@pytest.mark.parametrize("buffer_rows", [None, 64])
def test_the_same_seed_gives_the_same_order_and_the_next_epoch_another_one(buffer_rows: int | None) -> None:
    rows, generator = numbered(500, buffer_rows), seeded(3)
    first, second = (numbers(list(iterate(rows, 8, generator))) for _ in range(2))
    assert first == numbers(list(iterate(rows, 8, seeded(3))))
    assert first != second


def test_batches_of_a_full_shuffle_do_not_depend_on_how_many_are_gathered_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = numbered(500)
    expected = torch.randperm(500, generator=seeded(0)).tolist()
    for gather_bytes in (1, 1000, 10**9):
        monkeypatch.setattr(batch, "GATHER_BYTES", gather_bytes)
        assert numbers(list(iterate(rows, 7, seeded(0)))) == expected


def test_a_window_that_holds_all_rows_is_a_full_shuffle() -> None:
    plain, wide = (numbers(list(iterate(numbered(100, buffer_rows), 9, seeded(1)))) for buffer_rows in (None, 100))
    assert plain == wide


def test_a_shuffle_by_blocks_mixes_within_its_window_and_over_the_table(small_blocks: Callable[[int], None]) -> None:
    small_blocks(8)
    order = np.array(numbers(list(iterate(numbered(8192, 1024), 16, seeded(0)))))
    assert abs(np.corrcoef(order, np.arange(8192))[0, 1]) < 0.1
    for held in order.reshape(-1, 1024):
        assert abs(np.corrcoef(held, np.arange(1024))[0, 1]) < 0.15
        assert (np.abs(np.diff(held)) == 1).mean() < 0.02
        assert np.bincount(held // 1024, minlength=8).min() > 20  # rows from everywhere


def test_batches_that_are_kept_do_not_change_when_the_buffer_is_filled_again() -> None:
    parts = list(iterate(numbered(200, 16), 4, seeded(0)))
    assert sorted(numbers(parts)) == list(range(200))


def test_a_slice_keeps_the_window_and_a_copy_has_none() -> None:
    rows = replace(small_batch(20), buffer_rows=5)
    assert rows.take(slice(0, 10)).buffer_rows == 5
    assert rows.take(torch.arange(10)).buffer_rows is None


def test_rows_may_be_taken_by_numbers_or_by_a_mask() -> None:
    rows = small_batch(10)
    mask = torch.arange(10) % 3 == 0
    for a, b in zip(rows.take(mask).tensors, rows.take(mask.nonzero()[:, 0]).tensors, strict=True):
        assert torch.equal(a, b)


def test_ids_of_both_widths_are_embedded_alike() -> None:
    embedding, features = FieldEmbedding(small_layout(), 4, seeded(0)), small_batch(6).features
    narrow = Features(features.categorical.int(), tuple(ids.int() for ids in features.multi), features.numeric)
    assert torch.equal(embedding(narrow), embedding(features))


def test_rows_whose_lists_differ_in_width_are_put_together() -> None:
    narrow, wide = small_batch(3), small_batch(4, seed=1)
    lists = tuple(torch.nn.functional.pad(ids, (0, 2)) for ids in wide.features.multi)
    wider = replace(wide, features=replace(wide.features, multi=lists))
    found, plain = Batch.joined([narrow, wider]), Batch.joined([narrow, wide])
    for ids, before in zip(found.features.multi, plain.features.multi, strict=True):
        assert ids.shape[1] == before.shape[1] + 2
        assert torch.equal(ids[:, :-2], before) and not ids[:, -2:].any()
