"""Batches that are drawn from shards hold each row once, and of each shard its part."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from automtl.features.batch import Batch, Features, iterate
from automtl.features.row_shards import RowShards

CASES = [(301, 64, 2), (301, 63, 3), (257, 64, 4), (64, 64, 4), (7, 8, 4), (3, 8, 4), (260, 65, 2), (100, 4, 4)]


def numbered(rows: int) -> Batch:
    """Rows whose every value is their number."""
    number = torch.arange(rows)
    features = Features(number.unsqueeze(1), (number.repeat(2, 1).T,), number.unsqueeze(1).float())
    labels = number.unsqueeze(1).float()
    return Batch(features, labels, labels, number.float())


def drawn(rows: Batch, size: int, shards: RowShards) -> list[Batch]:
    return list(shards.iterate(rows, size, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(("rows", "size", "count"), CASES)
@pytest.mark.parametrize("buffer_rows", [None, 40])
def test_each_row_comes_once_in_the_part_of_its_shard(
    rows: int, size: int, count: int, buffer_rows: int | None
) -> None:
    table, shards = replace(numbered(rows), buffer_rows=buffer_rows), RowShards(count)
    batches, spans = drawn(table, size, shards), shards.spans(rows, size)
    assert [len(batch) for batch in batches] == [len(batch) for batch in iterate(table, size)]
    assert sorted(int(row) for batch in batches for row in batch.weight) == list(range(rows))
    for batch in batches:
        for name in ("labels", "mask"):
            assert torch.equal(getattr(batch, name)[:, 0], batch.weight)
        for values in (batch.features.categorical, *batch.features.multi, batch.features.numeric):
            assert torch.equal(values[:, -1].float(), batch.weight)
        if len(batch) >= count:
            for part, span in zip(shards.parts(len(batch)), spans, strict=True):
                assert ((batch.weight[part] >= span.start) & (batch.weight[part] < span.stop)).all()
    assert spans[0].start == 0 and rows - spans[-1].stop == (rows % size if rows % size < count else 0)


@pytest.mark.parametrize(("rows", "size", "count"), CASES)
@pytest.mark.parametrize("buffer_rows", [None, 40])
def test_own_inputs_suffice_for_the_same_batches(rows: int, size: int, count: int, buffer_rows: int | None) -> None:
    table, spans = replace(numbered(rows), buffer_rows=buffer_rows), RowShards(count).spans(rows, size)
    whole = drawn(table, size, RowShards(count))
    for own, span in enumerate(spans):
        known = torch.zeros(rows, dtype=torch.bool)
        known[span], known[spans[-1].stop :] = True, True

        features = table.features.each(lambda values, known=known: values.where(known.unsqueeze(1), -1))  # type: ignore[misc]
        found = drawn(replace(table, features=features), size, RowShards(count, own))
        for batch, expected in zip(found, whole, strict=True):
            part = slice(0, len(expected)) if batch.own is None else batch.own
            assert len(batch) == len(expected) and torch.equal(batch.labels, expected.labels)
            assert torch.equal(batch.features.categorical, expected.features.categorical[part])
            assert torch.equal(batch.features.multi[0], expected.features.multi[0][part])
            assert torch.equal(batch.features.numeric, expected.features.numeric[part])
            assert part == (RowShards(count).parts(len(expected))[own] if len(expected) >= count else part)


def test_another_generator_gives_another_order() -> None:
    table, shards = numbered(100), RowShards(2)
    one, other = (next(shards.iterate(table, 10, torch.Generator().manual_seed(seed))) for seed in (0, 1))
    assert not torch.equal(one.weight, other.weight)
    generator = torch.Generator().manual_seed(0)
    first, second = (next(shards.iterate(table, 10, generator)) for _ in range(2))
    assert torch.equal(first.weight, one.weight) and not torch.equal(first.weight, second.weight)


def test_a_batch_of_own_inputs_is_not_taken_apart() -> None:
    batch = drawn(numbered(100), 10, RowShards(2, 1))[0]
    assert len(batch) == 10 and batch.own == slice(5, 10) and batch.to("cpu").own == batch.own
    with pytest.raises(AssertionError, match="inputs of other rows are elsewhere"):
        batch.take(slice(0, 5))
