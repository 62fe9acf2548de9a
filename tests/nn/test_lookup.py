"""Look-ups in a table of embeddings, against plain indexing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from automtl.nn.lookup import lookup_sums, sum_by_id, sum_by_ids


def test_sums_by_id_are_those_of_index_add_to_the_last_bit() -> None:
    ids, values = torch.randint(0, 5, (50, 3)), torch.randn(50, 4, 2)
    plain = torch.zeros(7, 2).index_add_(0, ids.view(-1), values[:, :3].reshape(150, 2))
    assert torch.equal(sum_by_id(ids, values, 7), plain)
    torch.testing.assert_close(sum_by_id(ids, values.double(), 7).float(), plain)
    for none in (ids[:0], values[:0]), (ids[:, :0], values):
        assert not sum_by_id(*none, 7).any()


def three_lists(dtype: torch.dtype = torch.int64) -> list[Tensor]:
    """Single ids, pairs, and five ids of each place in a matrix."""
    generator = torch.Generator().manual_seed(0)
    shapes = (6, 1), (4, 2), (3, 7, 5)
    return [torch.randint(0, 9, shape, generator=generator).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_sums_of_rows_are_those_of_plain_indexing_with_one_gradient(dtype: torch.dtype) -> None:
    ids, tables = three_lists(dtype), [torch.nn.Parameter(torch.randn(9, 2)) for _ in range(3)]
    for table in tables[1:]:
        table.data.copy_(tables[0].data)
    found = [
        [tables[0][one.long()].sum(dim=-2) for one in ids],
        lookup_sums(tables[1], ids, row_wise=False),
        lookup_sums(tables[2], ids, row_wise=True),
    ]
    above = [torch.randn(out.shape) for out in found[0]]
    for table, outs in zip(tables, found, strict=True):
        for out, expected in zip(outs, found[0], strict=True):
            torch.testing.assert_close(out, expected)
        torch.autograd.backward(outs, above)
        assert table.grad is not None and tables[0].grad is not None
        torch.testing.assert_close(table.grad.to_dense(), tables[0].grad)


def test_sums_by_several_ids_are_the_same_in_any_type_and_of_no_ids_nothing() -> None:
    ids = [one.flatten(0, -2) for one in three_lists()]
    values = [torch.randn(len(one), 2) for one in ids]
    plain = torch.zeros(9, 2)
    for one, added in zip(ids, values, strict=True):
        for place in range(one.shape[1]):
            plain.index_add_(0, one[:, place], added)
    torch.testing.assert_close(sum_by_ids(ids, values, 9), plain)
    torch.testing.assert_close(sum_by_ids(ids, [one.double() for one in values], 9).float(), plain)
    assert not sum_by_ids([one[:0] for one in ids], [one[:0] for one in values], 9).any()
