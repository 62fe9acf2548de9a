"""Poolings against their formulas; own fields for each expert equal one expert at a time."""

from __future__ import annotations

import pytest
import torch

from automtl.nn.pooling import (
    FieldPoolingMixture,
    LinearPoolingMixture,
    StackedBilinearPooling,
    StackedMultiHeadPooling,
)
from automtl.nn.shape import BlockShape

NAMES = ("sum", "average", "attentive")


@pytest.mark.parametrize(("dim", "width"), [(4, 4), (4, 8)])
def test_field_poolings_equal_their_formulas(dim: int, width: int) -> None:
    mixture = FieldPoolingMixture(NAMES, 2, BlockShape(5, dim, width), torch.Generator().manual_seed(0))
    x = torch.randn(6, 5, dim)
    for copy in range(2):
        score = torch.tanh(x @ mixture.hidden.weight[copy] + mixture.hidden.bias[copy]) @ mixture.score[copy]
        found = (x.sum(1), x.mean(1), (score.softmax(1) * x).sum(1))
        for k, pooled in enumerate(found):
            expected = pooled if mixture.map is None else pooled @ mixture.map[copy]
            weights = torch.zeros(2, 3)
            weights[:, k] = 1
            torch.testing.assert_close(mixture(x, weights, (0, 1, 2))[copy], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["fields", "linear"])
def test_own_fields_of_each_expert_equal_shared_ones_where_they_are_the_same(kind: str) -> None:
    shape, generator = BlockShape(5, 4, 8), torch.Generator().manual_seed(0)
    mixture = (
        FieldPoolingMixture(NAMES, 3, shape, generator)
        if kind == "fields"
        else LinearPoolingMixture(3, shape, generator)
    )
    weights = torch.rand(3, 3 if kind == "fields" else 1)
    own = torch.randn(3, 6, 5, 4)
    apart = mixture(own, weights, range(weights.shape[1]))
    for expert in range(3):
        torch.testing.assert_close(
            apart[expert], mixture(own[expert], weights, range(weights.shape[1]))[expert], rtol=1e-4, atol=1e-5
        )


def test_heads_of_attention_stand_side_by_side_before_the_map() -> None:
    shape, x = BlockShape(5, 4, 8), torch.randn(6, 5, 4)
    pooling = StackedMultiHeadPooling(3, 2, shape, torch.Generator().manual_seed(0))
    for copy in range(2):
        score = torch.tanh(x @ pooling.hidden.weight[copy]) @ pooling.score[copy]  # (B, F, heads)
        heads = [(score[:, :, [head]].softmax(1) * x).sum(1) for head in range(3)]
        expected = torch.cat(heads, 1) @ pooling.map.weight[copy]
        torch.testing.assert_close(pooling(x)[copy], expected)
        torch.testing.assert_close(pooling(x.expand(2, -1, -1, -1))[copy], expected)


def test_bilinear_pooling_maps_the_sum_over_pairs_of_fields() -> None:
    shape, x = BlockShape(5, 4, 8), torch.randn(6, 5, 4)
    pooling = StackedBilinearPooling(2, shape, torch.Generator().manual_seed(0))
    unit = x / x.square().mean((1, 2), keepdim=True).sqrt()
    pairs = sum(torch.einsum("ba,bc->bac", unit[:, i], unit[:, j]) for i in range(5) for j in range(5) if i != j) / 5
    assert isinstance(pairs, torch.Tensor)
    for copy in range(2):
        expected = pairs.flatten(1) @ pooling.map.weight[copy]
        torch.testing.assert_close(pooling(x)[copy], expected)
        torch.testing.assert_close(pooling(x.expand(2, -1, -1, -1))[copy], expected)
