"""A guard against gross regressions: work is counted, not timed. Counts: benchmarks/work.py, budgets: work.json."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import models
import work
from automtl.models.baselines.mmoe import MMoE
from automtl.models.settings import NetworkSettings
from automtl.nn.stacked import StackedLinear

A, B, SQUARE = torch.ones(3, 4, 5), torch.ones(3, 5, 6), torch.ones(3, 4, 6)
PRODUCT = 2 * 4 * 5 * 6  # FLOPs of one of the three
SINGLE, FLOAT = 4 * 6 * 4, 4  # bytes


def test_every_case_has_a_budget_and_every_budget_a_case() -> None:
    assert list(work.read_budgets()) == list(work.CASES), f"run {work.UPDATE}"


@pytest.mark.parametrize("name", work.CASES)
def test_work_stays_within_its_budget(name: str) -> None:
    found = work.count(work.CASES[name]()).total
    complaint = work.excess(name, found, work.read_budgets()[name])
    assert not complaint, complaint


@pytest.mark.parametrize("name", ["derived-step", "large-table-step"])
def test_the_same_work_is_counted_twice(name: str) -> None:
    assert work.count(work.CASES[name]()).total == work.count(work.CASES[name]()).total


def test_the_guard_catches_experts_evaluated_once_for_each_task() -> None:
    found = work.count(work.training_step(wasteful_mmoe)).total
    complaint = work.excess("mmoe-step", found, work.read_budgets()["mmoe-step"])
    assert f"mmoe-step: {found.flops:,} flops, the budget is" in complaint
    assert f"{found.bytes:,} bytes" in complaint and f"{found.calls:,} calls" in complaint
    assert "python benchmarks/work.py --update" in complaint


def test_the_guard_catches_an_update_of_all_rows_of_a_large_table() -> None:
    dense = work.training_step(lambda: work.baseline("shared-bottom", work.LARGE), work.LARGE, updates="dense")
    complaint = work.excess("large-table-step", work.count(dense).total, work.read_budgets()["large-table-step"])
    assert "bytes, the budget is" in complaint and "flops" not in complaint


def test_the_guard_catches_a_loop_over_experts() -> None:
    found = work.count(work.prediction(looping_mmoe, 1)).total
    complaint = work.excess("mmoe-predict-1", found, work.read_budgets()["mmoe-predict-1"])
    assert "calls, the budget is" in complaint and "flops" not in complaint


def test_what_is_a_little_over_a_budget_passes() -> None:
    budget = work.Work(1000, 1000, 1000)
    assert not work.excess("some", work.Work(1100, 1150, 1020), budget)
    assert work.excess("some", work.Work(1000, 1000, 1021), budget).startswith("some: 1,021 flops")


@pytest.mark.parametrize(
    ("run", "products"),
    [
        (lambda: torch.mm(A[0], B[0]), 1),
        (lambda: torch.mm(A[0], B[0], out=torch.empty(4, 6)), 1),
        (lambda: torch.bmm(A, B), 3),
        (lambda: torch.bmm(A, B, out=torch.empty(3, 4, 6)), 3),
        (lambda: torch.addmm(SQUARE[0], A[0], B[0]), 1),
        (lambda: torch.empty(4, 6).addmm_(A[0], B[0], beta=0), 1),
        (lambda: torch.addmm(SQUARE[0], A[0], B[0], out=torch.empty(4, 6)), 1),
        (lambda: torch.baddbmm(SQUARE, A, B), 3),
        (lambda: torch.zeros(3, 4, 6).baddbmm_(A, B), 3),
        (lambda: torch.baddbmm(SQUARE, A, B, out=torch.empty(3, 4, 6)), 3),
        (lambda: torch.addbmm(SQUARE[0], A, B), 3),
        (lambda: torch.zeros(4, 6).addbmm_(A, B), 3),
        (lambda: torch.einsum("nij,njk->nik", A, B), 3),
        (lambda: F.linear(A, B[0].T), 3),
        (lambda: torch.mv(A[0], B[0, :, 0]), 1 / 6),
        (lambda: torch.addmv(A[0, :, 0], A[0], B[0, :, 0]), 1 / 6),
        (lambda: torch.dot(B[0, :, 0], B[0, :, 1]), 1 / 24),
        (lambda: torch.addr(SQUARE[0], A[0, :, 0], B[0, 0]), 1 / 5),
        (lambda: F.conv1d(torch.ones(4, 5, 1), torch.ones(6, 5, 1)), 1),
        (lambda: A + 1, 0),
    ],
)
def test_flops_are_those_of_products_in_every_form(run: Callable[[], Tensor], products: float) -> None:
    assert work.count(run).total.flops == round(products * PRODUCT)


def test_prediction_without_gradients_counts_products_of_composed_operators() -> None:
    def run() -> None:
        with torch.inference_mode():
            F.linear(A, B[0].T)
            torch.matmul(A, B)

    assert work.count(run).total.flops == 6 * PRODUCT


def test_fused_attention_counts_two_products_and_five_of_the_backward_pass() -> None:
    query = torch.randn(2, 2, 16, 8, requires_grad=True)
    counter = work.count(lambda: F.scaled_dot_product_attention(query, query, query).sum().backward())
    assert any("flash" in name for name in counter.by_operator)
    assert counter.total.flops == 7 * 2 * (2 * 2 * 16 * 16 * 8)


def test_custom_functions_are_counted_in_both_passes() -> None:
    linear = StackedLinear(3, 5, 6, torch.Generator().manual_seed(0))
    x = A.clone().requires_grad_()
    assert work.count(lambda: linear(x).sum().backward()).total.flops == 3 * 3 * PRODUCT


def test_views_and_empty_memory_are_no_work() -> None:
    assert work.count(lambda: torch.empty(4, 6).view(3, 8).t()[1:].unsqueeze(0).expand(5, -1, -1)).total == work.Work()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda: SQUARE[0] + SQUARE[1], 3 * SINGLE),
        (lambda: SQUARE[0] * SQUARE[0], 3 * SINGLE),  # two views of the same
        (lambda: SQUARE[0].clone().mul_(2), 4 * SINGLE),  # in place: read and written
        (lambda: torch.empty(4, 6).zero_(), SINGLE),
        (lambda: torch.zeros_like(SQUARE[0]), SINGLE),
        (lambda: torch.empty(4, 6).copy_(SQUARE[0]), 2 * SINGLE),
        (lambda: torch.add(SQUARE[0], 1, out=torch.empty(4, 6)), 2 * SINGLE),
        (lambda: torch.ones(1).expand(1000) + torch.ones(1), 4 * FLOAT + 1000 * FLOAT),  # what is only repeated
    ],
)
def test_bytes_are_those_read_and_written(run: Callable[[], Tensor], expected: int) -> None:
    assert work.count(run).total.bytes == expected


def test_a_lookup_and_an_update_of_rows_do_not_count_the_whole_table() -> None:
    table, ids, rows = torch.zeros(100_000, 4), torch.tensor([1, 5]), torch.ones(2, 4)
    for run in (
        lambda: table.index_select(0, ids),
        lambda: F.embedding(ids, table),
        lambda: table[ids],
        lambda: table.index_add_(0, ids, rows),
        lambda: table.index_copy_(0, ids, rows),
        lambda: F.embedding_bag(ids, table, torch.tensor([0, 1]), mode="sum"),
    ):
        assert 0 < work.count(run).total.bytes <= 200


def layout_and_settings() -> tuple[object, NetworkSettings, torch.Generator]:
    return models.layout(work.SIZES), NetworkSettings(), torch.Generator().manual_seed(0)


class OncePerTask(nn.Module):
    """Each task evaluates all experts for itself."""

    def __init__(self, mmoe: MMoE) -> None:
        super().__init__()
        self.mmoe = mmoe

    def forward(self, features: object) -> Tensor:
        x = self.mmoe.embedding(features).flatten(1)
        tasks = range(work.SIZES.tasks)
        gathered = torch.stack([self.mmoe.gather(x)[task] for task in tasks])
        return self.mmoe.towers(gathered)


class Looping(nn.Module):
    """Experts one after another."""

    def __init__(self, mmoe: MMoE) -> None:
        super().__init__()
        self.mmoe = mmoe

    def forward(self, features: object) -> Tensor:
        x = self.mmoe.embedding(features).flatten(1)
        first, second = self.mmoe.experts.layers
        hidden = []
        for expert in range(len(first.weight)):
            inner = torch.addmm(first.bias[expert], x, first.weight[expert]).relu()
            hidden.append(torch.addmm(second.bias[expert], inner, second.weight[expert]).relu())
        return self.mmoe.towers(self.mmoe.gate(x, torch.stack(hidden)))


def wasteful_mmoe() -> nn.Module:
    return OncePerTask(MMoE(*layout_and_settings()))


def looping_mmoe() -> nn.Module:
    return Looping(MMoE(*layout_and_settings()))
