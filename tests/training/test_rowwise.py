"""Embedding tables moved by rows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from automtl.models.baselines import BASELINES
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Task
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.losses import MultiTaskLoss
from automtl.training.rowwise import (
    BETA,
    EPSILON,
    RowWiseAdam,
    pays_by_rows,
    repeated,
    sum_by_row,
    sum_by_row_in_place,
)
from automtl.training.settings import TrainingSettings
from automtl.training.updates import Updates, by_rows, embeddings
from tests.conftest import small_batch, small_layout

TASKS = tuple(Task(f"t{index}") for index in range(3))
NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.3)
SETTINGS = TrainingSettings(epochs=2, batch_size=16, learning_rate=0.01, embedding_updates="row-wise")


def model(kind: str = "mmoe", seed: int = 0) -> nn.Module:
    return MODELS.find(kind)(small_layout(), NETWORK, torch.Generator().manual_seed(seed))


def test_ids_are_summed_by_row() -> None:
    ids, values = torch.tensor([7, 2, 7, 0, 2, 7]), torch.randn(6, 3)
    rows, sums = sum_by_row(ids, values)
    assert rows.tolist() == [0, 2, 7]
    torch.testing.assert_close(sums, torch.stack([values[ids == row].sum(0) for row in (0, 2, 7)]))


def plain_step(
    table: torch.Tensor, moments: list[float], met: list[int], ids: list[int], step: int, rate: float, decay: float
) -> None:
    """One row after another; the loss is half the square of each value that is met, summed."""
    for row in sorted(set(ids)):
        missed = step - 1 - met[row]
        gradient = table[row] * ids.count(row)
        root = math.sqrt(moments[row] * BETA ** (missed / 2)) + EPSILON
        table[row] *= math.exp(-rate * decay * missed / root)
        gradient = gradient + decay * table[row]
        moments[row] = moments[row] * BETA ** (missed + 1) + (1 - BETA) * float(gradient.square().mean())
        table[row] -= rate * gradient / (math.sqrt(moments[row] / (1 - BETA**step)) + EPSILON)
        met[row] = step


def test_rows_move_as_in_a_plain_loop_and_others_stay() -> None:
    torch.manual_seed(0)
    table = nn.Parameter(torch.randn(6, 3))
    start = table.detach().clone()
    wanted, moments, met = start.double(), [0.0] * 6, [0] * 6
    optimizer = RowWiseAdam([table], 0.05, 0.01)
    for step, ids in enumerate(([0, 2, 2], [4, 0], [2], [0, 4, 4, 2]), start=1):
        gradient = table.detach()[ids]
        table.grad = torch.sparse_coo_tensor(torch.tensor([ids]), gradient, table.shape, check_invariants=False)
        optimizer.step(optimizer.gradients())
        plain_step(wanted, moments, met, ids, step, 0.05, 0.01)
        torch.testing.assert_close(table.detach().double(), wanted, atol=1e-5, rtol=1e-4)
    assert torch.equal(table.detach()[[1, 3, 5]], start[[1, 3, 5]])


def test_a_step_moves_met_rows_alone_and_clips_as_a_whole_table_would() -> None:
    norms = []
    for form in ("dense", "row-wise"):
        net, batch = model(), small_batch(8)
        updates = Updates(net, batch, replace(SETTINGS, embedding_updates=form, gradient_clip=1e-3, weight_decay=0.0))
        before = net.embedding.table.detach().clone()  # type: ignore[union-attr]
        torch.manual_seed(0)
        updates.step(MultiTaskLoss(TASKS)(net(batch.features), batch))
        norms.append(
            torch.stack([parameter.grad.norm() for parameter in updates.parameters if parameter.grad is not None])
        )
        moved = (net.embedding.table != before).any(dim=1)  # type: ignore[union-attr]
        met = set(batch.features.categorical[:, 0].tolist()) | {
            9 + i for i in batch.features.categorical[:, 1].tolist()
        }
        met |= {14 + i for i in batch.features.multi[0].flatten().tolist()}
        for start, ids in zip((0, 9, 20, 23), batch.features.multi[1:], strict=True):  # of events
            met |= {start + i for i in ids.flatten().tolist()}
        if form == "row-wise":
            assert set(moved.nonzero().flatten().tolist()) <= met
    rest = norms[0][torch.arange(len(norms[0])) != 0]  # without the table's
    torch.testing.assert_close(rest, norms[1])


@pytest.mark.parametrize("kind", BASELINES)
def test_a_model_trained_by_rows_is_determined_by_the_seed_and_can_be_copied(kind: str) -> None:
    first, second = model(kind), model(kind)
    train, valid = small_batch(100), small_batch(60, seed=2)
    for net in (first, second):
        fit(net, train, valid, TASKS, SETTINGS, 5)
        assert not any(module.row_wise for module in embeddings(net))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    fresh = model(kind, seed=9)
    fresh.load_state_dict(first.state_dict())
    assert torch.equal(predict_logits(fresh, valid), predict_logits(first, valid))


def test_training_by_rows_learns() -> None:
    net, train = model(), small_batch(200)
    result = fit(net, train, train, TASKS, replace(SETTINGS, epochs=20), 0)
    assert result.evaluations[-1].loss < result.evaluations[0].loss


def test_rows_pay_where_the_table_is_large_against_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pays_by_rows(10_000_000, 33 * 1024)
    assert not pays_by_rows(10_000, 33 * 1024)
    assert not pays_by_rows(27_406, 2 * 1024)
    net, train = model(), small_batch(100)
    assert by_rows(net, train, replace(SETTINGS, embedding_updates="auto")) == []
    monkeypatch.setattr("automtl.training.rowwise.SMALL_TABLE", 5)  # of 27 rows, 21 ids
    monkeypatch.setattr("automtl.training.rowwise.ROW_COST", 1)
    assert by_rows(net, train, replace(SETTINGS, embedding_updates="auto", batch_size=1)) == [net.embedding]
    assert by_rows(net, train, SETTINGS) == [net.embedding]
    assert by_rows(net, train, replace(SETTINGS, embedding_updates="dense")) == []


def test_where_only_the_device_counts_ids_sums_and_moves_are_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    ids, values = torch.randint(0, 9, (40,), generator=generator), torch.randn(40, 3, generator=generator)
    rows, sums = sum_by_row(ids, values)
    every, padded = sum_by_row_in_place(ids, values)
    assert torch.equal(every[: len(rows)], rows) and torch.equal(padded[: len(rows)], sums)
    assert not padded[len(rows) :].any() and set(every[len(rows) :].tolist()) == {int(rows[-1])}
    again = repeated(every, padded)
    assert torch.equal(again[: len(rows)], sums) and torch.equal(again[-1], sums[-1])
    assert torch.equal(repeated(every[:1], padded[:1]), padded[:1])
