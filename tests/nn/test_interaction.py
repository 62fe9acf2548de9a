"""Interactions against their formulas, row by row."""

from __future__ import annotations

import pytest
import torch

from automtl.nn import interaction
from automtl.nn.interaction import (
    AttentionMixture,
    CrossMixture,
    FieldInnerProduct,
    FieldOuterProduct,
    FieldScaledInnerProduct,
)
from automtl.nn.shape import BlockShape

SHAPE = BlockShape(5, 4, 8)
ONE = torch.ones(1, 1)


def make(kind, *arguments):  # type: ignore[no-untyped-def]
    return kind(*arguments, SHAPE, torch.Generator().manual_seed(0))


def test_inner_products_of_all_pairs_are_mapped_back_and_added() -> None:
    product, x = make(FieldInnerProduct), torch.randn(3, 5, 4)
    for row in range(3):
        for i in range(5):
            products = torch.stack([x[row, i] @ x[row, j] for j in range(5)])
            torch.testing.assert_close(product(x)[row, i], x[row, i] + products @ product.weight[0])


def test_outer_products_are_those_of_the_summed_fields() -> None:
    product, x = make(FieldOuterProduct), torch.randn(3, 5, 4)
    for row in range(3):
        total = x[row].sum(0)
        matrix = torch.outer(total, total)  # the sum over all pairs of fields of their outer products
        pairs = sum(torch.outer(x[row, i], x[row, j]) for i in range(5) for j in range(5))
        torch.testing.assert_close(matrix, pairs, rtol=1e-4, atol=1e-5)
        expected = x[row] + x[row] @ matrix @ product.weight[0]
        torch.testing.assert_close(product(x)[row], expected, rtol=1e-4, atol=1e-5)


def test_cross_networks_follow_their_recursion() -> None:
    mixture, x = make(CrossMixture, [3]), torch.randn(6, 5, 4)
    start = state = x.flatten(1)
    for layer in range(3):
        down, up, bias = mixture.down[layer][0], mixture.up[layer][0], mixture.bias[layer][0, 0]
        state = start * (state @ down @ up + bias) + state
    torch.testing.assert_close(mixture(x, ONE, (0,)).flatten(1), state)


def test_attention_equals_softmax_of_scaled_products() -> None:
    mixture, x = make(AttentionMixture, [2]), torch.randn(3, 5, 4)
    query, key, value = (x @ mixture.project[0][0]).split(4, dim=2)
    heads = []
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        share = (query[..., part] @ key[..., part].transpose(1, 2) / 2**0.5).softmax(2)
        heads.append(share @ value[..., part])
    expected = torch.relu(torch.cat(heads, 2) @ mixture.out[0][0] + x @ mixture.residual[0][0])
    torch.testing.assert_close(mixture(x, ONE, (0,)), expected)


def test_attention_has_one_value_and_one_gradient_whether_scores_are_kept_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixture, x = make(AttentionMixture, [2]), torch.randn(3, 5, 4, requires_grad=True)
    kept = mixture(x, ONE, (0,))
    torch.testing.assert_close(mixture(x.detach(), ONE, (0,)), kept)
    monkeypatch.setattr(interaction, "FUSED_FIELDS", 4)
    fused = mixture(x, ONE, (0,))
    torch.testing.assert_close(fused, kept)
    gradients = (torch.autograd.grad(out.square().sum(), x)[0] for out in (fused, kept))
    torch.testing.assert_close(*gradients)


def test_scaled_inner_products_are_those_with_the_normalised_row() -> None:
    product, x = make(FieldScaledInnerProduct), torch.randn(3, 5, 4)
    unit = x / x.square().mean((1, 2), keepdim=True).sqrt()
    torch.testing.assert_close(product(x), x + torch.einsum("bid,bjd->bij", x, unit) / 2 @ product.weight[0])


def test_scaled_products_add_to_each_field_what_is_of_its_size() -> None:
    """New embeddings are a hundredth of numbers; a row that is a hundred times as large has outputs that are, too."""
    product, sizes = make(FieldScaledInnerProduct), torch.tensor([0.01, 0.1, 1.0, 10.0, 1.0])
    x = torch.randn(64, 5, 4) * sizes.view(1, 5, 1)
    torch.testing.assert_close(product(100 * x), 100 * product(x), rtol=1e-3, atol=1e-4)
    added = (product(x) - x).square().mean((0, 2)).sqrt() / sizes
    assert bool(((added > 0.1) & (added < 3.0)).all())
