"""Batches are slices of contiguous tensors."""

from __future__ import annotations

import torch

from automtl.data.batch import iterate
from tests.conftest import small_batch


def test_batches_in_order_are_views_that_cover_every_row_once() -> None:
    rows = small_batch(10)
    parts = list(iterate(rows, 4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert parts[1].labels.data_ptr() == rows.labels[4:].data_ptr()
    assert torch.equal(torch.cat([part.labels for part in parts]), rows.labels)


def test_shuffled_batches_hold_each_row_once_and_keep_rows_together() -> None:
    rows = small_batch(100)
    shuffled = list(iterate(rows, 7, torch.Generator().manual_seed(0)))
    numeric = torch.cat([part.features.numeric for part in shuffled])
    assert not torch.equal(numeric, rows.features.numeric)
    place = [int((rows.features.numeric == row).all(1).nonzero()[0, 0]) for row in numeric]
    assert sorted(place) == list(range(100))
    assert torch.equal(torch.cat([part.labels for part in shuffled]), rows.labels[place])


def test_the_same_seed_gives_the_same_order() -> None:
    rows = small_batch(50)
    first, second = ([part.labels for part in iterate(rows, 8, torch.Generator().manual_seed(3))] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
