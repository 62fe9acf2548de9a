"""Lists of values to one vector, against plain sums over the values that are given."""

from __future__ import annotations

import pytest
import torch

from automtl.features.batch import Features
from automtl.features.layout import CategoricalLayout, Layout, MultiLayout
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.lists import AttentiveListPooling, TargetAttention, list_pooling
from automtl.tables.schema import Task

SIZES = (0, 1, 3, 4)  # values of each row
GIVEN = torch.arange(4) < torch.tensor(SIZES).unsqueeze(1)


def pooling(name: str) -> torch.nn.Module:
    field = MultiLayout("m", 9, name, *(("t", 4) if name == "target" else ()))
    return list_pooling(field, 3, torch.Generator().manual_seed(1))


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 4, 3, generator=generator), torch.randn(4, 3, generator=generator)


@pytest.mark.parametrize("name", ["mean", "sum", "max", "attention", "target"])
def test_padding_tells_nothing_and_a_row_without_values_is_zero(name: str) -> None:
    (values, target), module = drawn(), pooling(name)
    out = module(values, GIVEN, target)
    other = torch.where(GIVEN.unsqueeze(2), values, 1000.0)
    torch.testing.assert_close(module(other, GIVEN, target), out)
    assert not out[0].any() and out[1:].any(dim=1).all()
    longer = torch.nn.functional.pad(values, (0, 0, 0, 2)), torch.nn.functional.pad(GIVEN, (0, 2))
    torch.testing.assert_close(module(*longer, target), out)


@pytest.mark.parametrize("name", ["mean", "sum", "max"])
def test_values_are_pooled_as_the_name_says(name: str) -> None:
    values, _ = drawn()
    out = pooling(name)(values, GIVEN, None)
    for row, size in enumerate(SIZES[1:], 1):
        mine = values[row, :size]
        expected = mine.amax(0) if name == "max" else getattr(mine, name)(0)
        torch.testing.assert_close(out[row], expected)


def test_attention_is_a_softmax_over_the_values_given() -> None:
    values, _ = drawn()
    module = AttentiveListPooling(3, torch.Generator().manual_seed(0))
    share = (torch.tanh(values[2, :3] @ module.hidden) @ module.score).softmax(0)
    torch.testing.assert_close(module(values, GIVEN, None)[2], share @ values[2, :3])


def test_a_sequence_is_weighed_by_target_and_place_from_the_newest() -> None:
    values, target = drawn()
    module = TargetAttention(3, 4, torch.Generator().manual_seed(0))
    out = module(values, GIVEN, target)
    for row, size in enumerate(SIZES):
        expected = torch.zeros(3)
        for place in range(size):
            key = values[row, place] + module.place[size - 1 - place]
            hidden = key @ module.of_value + target[row] @ module.of_target
            hidden = (hidden + (key * target[row]) @ module.of_product + module.bias).relu()
            expected = expected + (hidden @ module.score) * values[row, place]
        torch.testing.assert_close(out[row], expected)


def test_a_sequence_shares_the_rows_of_its_target() -> None:
    layout = Layout(
        (CategoricalLayout("user", 4), CategoricalLayout("item", 6)),
        (MultiLayout("m", 5, "mean"), MultiLayout("history", 0, "target", "item", 3)),
        (),
        (Task("y"),),
    )
    module = FieldEmbedding(layout, 3, torch.Generator().manual_seed(0))
    history = torch.tensor([[5, 2, 0]])
    features = Features(torch.tensor([[2, 3]]), (torch.tensor([[2]]), history), torch.zeros(1, 0))
    out = module(features)
    assert len(module.table) == 4 + 6 + 5 and out.shape == (1, 4, 3)
    expected = module.poolings[1](module.table[4 + history], history > 0, module.table[4 + 3].unsqueeze(0))
    torch.testing.assert_close(out[:, 3], expected)


def test_the_gradient_by_rows_holds_for_shared_ids() -> None:
    layout = Layout(
        (CategoricalLayout("item", 6),), (MultiLayout("history", 0, "target", "item", 3),), (), (Task("y"),)
    )
    features = Features(torch.tensor([[3], [2]]), (torch.tensor([[3, 2, 0], [5, 5, 4]]),), torch.zeros(2, 0))
    above, found = torch.randn(2, 2, 3), []
    for row_wise in (False, True):
        module = FieldEmbedding(layout, 3, torch.Generator().manual_seed(0))
        module.row_wise = row_wise
        module(features).backward(above)
        assert module.table.grad is not None
        found.append(module.table.grad.to_dense() if row_wise else module.table.grad)
    torch.testing.assert_close(found[0], found[1])
