"""Fields to embeddings, against plain tables."""

from __future__ import annotations

import torch
from torch import nn

from automtl.features.batch import Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.nn.embedding import FieldEmbedding
from tests.conftest import small_batch, small_layout


def embedded() -> tuple[FieldEmbedding, torch.Tensor]:
    module = FieldEmbedding(small_layout(), 4, torch.Generator().manual_seed(0))
    return module, module(small_batch(6).features)


def test_fields_are_embedded_in_their_order_each_from_its_own_range() -> None:
    module, out = embedded()
    ids = small_batch(6).features.categorical
    assert out.shape == (6, 7, 4)
    torch.testing.assert_close(out[:, 0], module.table[ids[:, 0]])
    torch.testing.assert_close(out[:, 1], module.table[9 + ids[:, 1]])


def test_multi_valued_fields_are_means_over_their_values_without_padding() -> None:
    module, out = embedded()
    ids = small_batch(6).features.multi[0]
    for row in range(6):
        present = ids[row][ids[row] > 0]
        mean = module.table[14 + present].mean(0) if len(present) else torch.zeros(4)
        torch.testing.assert_close(out[row, 2], mean)


def test_numeric_groups_are_projected_apart() -> None:
    module, out = embedded()
    x = small_batch(6).features.numeric
    first = nn.functional.linear(x[:, :1], module.projection[:1, :4].T, module.projection_bias[:4])
    second = nn.functional.linear(x[:, 1:], module.projection[1:, 4:].T, module.projection_bias[4:])
    torch.testing.assert_close(out[:, 5], first)
    torch.testing.assert_close(out[:, 6], second)


def test_a_group_gets_no_gradient_from_the_others_columns() -> None:
    module, out = embedded()
    out[:, 5].sum().backward()
    assert module.projection.grad is not None
    assert not module.projection.grad[1:].any()


def test_the_gradient_by_rows_is_the_tables_and_names_the_rows_met() -> None:
    dense, _ = embedded()
    sparse, _ = embedded()
    sparse.row_wise = True
    above, features = torch.randn(6, 7, 4), small_batch(6).features
    for module in (dense, sparse):
        module(features).backward(above)
    assert dense.table.grad is not None and sparse.table.grad is not None
    torch.testing.assert_close(sparse.table.grad.to_dense(), dense.table.grad)
    met = {int(i) for i in features.categorical[:, 0]} | {9 + int(i) for i in features.categorical[:, 1]}
    met |= {14 + int(i) for i in features.multi[0].flatten()}
    events = zip((0, 9, 20, 23), features.multi[1:], strict=True)  # two aspects have the ids of the categorical fields
    met |= {start + int(i) for start, ids in events for i in ids.flatten()}
    assert set(sparse.table.grad.coalesce().indices()[0].tolist()) == met


def test_ids_of_32_and_64_bits_are_the_same() -> None:
    (short, _), (long, _) = embedded(), embedded()
    long.offsets, long.list_offsets = long.offsets.long(), long.list_offsets.long()
    features, above = small_batch(6).features, torch.randn(6, 7, 4)
    assert short.offsets.dtype is torch.int32
    outs = short(features.each(as_short)), long(features.each(as_long))
    assert torch.equal(*outs)
    for out in outs:
        out.backward(above)
    assert short.table.grad is not None and long.table.grad is not None
    assert torch.equal(short.table.grad, long.table.grad)


def as_short(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.is_floating_point() else tensor.int()


def as_long(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.is_floating_point() else tensor.long()


def test_numeric_columns_are_not_rounded() -> None:
    module, out = embedded()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module(small_batch(6).features)[:, 5:], out[:, 5:])


def test_what_products_alone_read_is_rounded_once_and_the_tables_gradient_is_whole() -> None:
    """The same numbers as rounding what was found, where ids are many; a table of more rows is left as it is."""
    layout, batch = Layout((CategoricalLayout("a", 9),), (), (), small_layout(1).tasks), small_batch(num_tasks=1)
    module, features = FieldEmbedding(layout, 4, torch.Generator().manual_seed(0)), batch.features
    features = Features(features.categorical[:, :1], (), features.numeric[:, :0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, whole = module(features, for_products=True), module(features)
        few = module(features.take(slice(0, 8)), for_products=True)
    assert (out.dtype, whole.dtype, few.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert torch.equal(out, whole.bfloat16())
    above = torch.randn(out.shape).bfloat16()
    rounded, exact = (torch.autograd.grad(one, module.table, above.to(one.dtype))[0] for one in (out, whole))
    assert rounded.dtype is torch.float32
    assert torch.equal(rounded, exact)
