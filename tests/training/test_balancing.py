"""Known answers of the balancing methods."""

from __future__ import annotations

import builtins
import math
from typing import Any

import pytest
import torch
import torchjd.aggregation
from torch import Tensor, nn

from automtl.config import make_settings
from automtl.errors import SettingsError
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.system.randomness import seeded
from automtl.training.balancing import (
    BALANCINGS,
    UNDER_GPL,
    Balancing,
    find_balancing,
    gradient_products,
    shared_parameters,
    square_root,
)  # fmt: skip
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

FIRST, SECOND = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([-2.0, 1.0, 0.5])  # two gradients that conflict
HALVES = torch.tensor([0.5, 0.5])


class Line(nn.Module):
    """Losses that are linear in one parameter: their gradients are the rows given."""

    def __init__(self, *rows: Tensor) -> None:
        super().__init__()
        self.rows = torch.stack(rows)
        self.point = nn.Parameter(torch.ones(rows[0].shape))

    def losses(self) -> Tensor:
        return self.rows @ self.point


def direction(name: str, model: Line, weights: Tensor = HALVES) -> Tensor:
    balance = find_balancing(TrainingSettings(balancing=name, learning_rate=0.1), model, weights)
    (found,) = torch.autograd.grad(balance.total(model.losses()), [model.point])
    return found


def test_pcgrad_projects_each_of_two_conflicting_gradients_on_the_normal_plane_of_the_other() -> None:
    product = FIRST @ SECOND
    assert product < 0
    first = FIRST - product / SECOND.square().sum() * SECOND
    second = SECOND - product / FIRST.square().sum() * FIRST
    torch.testing.assert_close(direction("pcgrad", Line(FIRST, SECOND)), (first + second) / 2)


def test_upgrad_harms_no_task_where_the_mean_does() -> None:
    far = 4 * FIRST
    assert (far + SECOND) @ SECOND < 0
    step = direction("upgrad", Line(far, SECOND))
    assert step @ far > 0 and step @ SECOND > -1e-4


def test_nash_mtl_gives_each_task_the_same_share_of_its_bargain() -> None:
    model = Line(FIRST, SECOND)
    step = direction("nash-mtl", model)
    one, other = step @ FIRST, step @ SECOND  # alpha_i = 1 / (g_i step), up to the common scale
    alpha = torch.linalg.lstsq(model.rows.T, step.unsqueeze(1)).solution.squeeze(1)
    torch.testing.assert_close(alpha[0] * one, alpha[1] * other, rtol=0.02, atol=0)


def test_cagrad_is_the_mean_and_a_part_towards_the_worse_task() -> None:
    step = direction("cagrad", Line(FIRST, SECOND))
    mean = (FIRST + SECOND) / 2
    assert torch.minimum(step @ FIRST, step @ SECOND) > torch.minimum(mean @ FIRST, mean @ SECOND)
    torch.testing.assert_close((step - mean).norm(), 0.4 * mean.norm(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["equal", "pcgrad", "upgrad", "dwa"])
def test_tasks_in_harmony_get_the_plain_step(name: str) -> None:
    weights = torch.tensor([0.25, 0.75])
    rows = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    torch.testing.assert_close(direction(name, Line(*rows), weights), 0.25 * rows[0] + 0.75 * rows[1])


def test_dwa_weighs_as_a_plain_loop_over_epochs_does() -> None:
    balance = find_balancing(TrainingSettings(balancing="dwa", learning_rate=0.1), Line(FIRST, SECOND), HALVES)
    epochs = torch.tensor(
        [[[4.0, 2.0], [2.0, 2.0]], [[2.0, 1.5], [1.0, 1.5]], [[1.0, 1.0], [1.5, 1.0]]]
    )  # (epochs, batches, T)
    found = []
    for epoch in epochs:
        found += [balance.total(losses) for losses in epoch]
        balance.after_epoch()
    means = epochs.mean(1).tolist()
    rates = [math.exp(means[1][task] / means[0][task] / 2) for task in range(2)]
    shares = [rate / sum(rates) for rate in rates]
    expected = [losses.mean() for epoch in epochs[:2] for losses in epoch]
    expected += [losses @ torch.tensor(shares) for losses in epochs[2]]
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))


def test_uncertainty_learns_to_weigh_a_task_by_its_inverse_loss() -> None:
    balance = find_balancing(TrainingSettings(balancing="uncertainty", learning_rate=0.05), nn.Module(), HALVES)
    losses = torch.tensor([0.5, 2.0])
    torch.testing.assert_close(balance.total(losses), losses.mean())
    for _ in range(400):
        balance.total(losses).backward()
        balance.after_step(lambda: losses)
    at = losses.clone().requires_grad_()
    (weights,) = torch.autograd.grad(balance.total(at), [at])
    torch.testing.assert_close(weights, 0.5 / losses, rtol=0.01, atol=0)


def test_famo_weighs_up_the_task_whose_loss_falls_less() -> None:
    balance = find_balancing(TrainingSettings(balancing="famo", learning_rate=0.1), nn.Module(), HALVES)
    before, after = torch.tensor([1.0, 1.0]), torch.tensor([0.5, 1.0])
    for _ in range(20):
        balance.total(before)
        balance.after_step(lambda: after)
    at = before.clone().requires_grad_()
    (weights,) = torch.autograd.grad(balance.total(at), [at])
    assert weights[1] > 1.2 * weights[0]
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))


def test_the_products_of_gradients_are_those_of_whole_gradients_also_where_a_table_is_moved_by_rows() -> None:
    model = MODELS.find("mmoe")(
        small_layout(), NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.0), generator()
    )
    batch, loss = small_batch(), MultiTaskLoss(small_layout().tasks)
    shared = shared_parameters(model)
    assert len(list(model.parameters())) > len(shared) > 3
    values = loss.per_task(model(batch.features), batch)
    rows = [torch.autograd.grad(value, shared, retain_graph=True) for value in values]
    whole = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])
    torch.testing.assert_close(gradient_products(values, shared), whole @ whole.T)
    model.embedding.row_wise = True  # type: ignore[union-attr]
    again = loss.per_task(model(batch.features), batch)
    torch.testing.assert_close(gradient_products(again, shared), whole @ whole.T)


def test_a_square_root_has_the_products() -> None:
    rows = torch.randn(4, 50, generator=generator()).double()
    root = square_root(rows @ rows.T)
    torch.testing.assert_close(root @ root.T, rows @ rows.T)


def test_networks_that_share_nothing_have_no_products() -> None:
    model = MODELS.find("single-task")(
        small_layout(), NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.0), generator()
    )
    batch = small_batch()
    values = MultiTaskLoss(small_layout().tasks).per_task(model(batch.features), batch)
    products = gradient_products(values, shared_parameters(model))
    assert torch.equal(products, products.diagonal().diag()) and bool((products.diagonal() > 0).all())


def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_torchjd(name: str, *given: Any, **named: Any) -> Any:
        if name.startswith("torchjd"):
            raise ModuleNotFoundError(f"No module named '{name}'")
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", without_torchjd)
    for name in set(BALANCINGS) - {"equal"}:
        extra = "balancing-gpl" if name in UNDER_GPL else "balancing"
        with pytest.raises(SettingsError, match=rf"'{name}'.*pip install 'automtl\[{extra}\]'"):
            find_balancing(TrainingSettings(balancing=name), nn.Module(), HALVES)


def test_the_settings_know_the_table() -> None:
    with pytest.raises(SettingsError, match="training.balancing 'pcgrab' is unknown; did you mean 'pcgrad'.*nash-mtl"):
        make_settings({"training": {"balancing": "pcgrab"}})
    for name in BALANCINGS:
        assert make_settings({"training": {"balancing": name}}).training.balancing == name


def own_balancing(model: nn.Module, weights: Tensor, learning_rate: float) -> Balancing:
    return Balancing(lambda losses: losses[0])


def test_a_balancing_of_another_package_is_named_by_its_import_path() -> None:
    settings = make_settings({"training": {"balancing": f"{__name__}:own_balancing"}}).training
    balance = find_balancing(settings, nn.Module(), HALVES)
    assert float(balance.total(torch.tensor([3.0, 5.0]))) == 3.0


@pytest.mark.parametrize("name", ["PCGrad", "CAGrad", "UPGrad"])
def test_weights_of_a_gramian_are_those_of_a_matrix_whose_rows_have_its_products(name: str) -> None:
    made = getattr(torchjd.aggregation, name)
    aggregator, weigh = (
        make(**({"c": 0.4} if name == "CAGrad" else {}))
        for make in (made, getattr(torchjd.aggregation, f"{name}Weighting"))
    )
    rows = torch.randn(3, 50, generator=generator()).double()
    rows[1] -= rows[0]
    products = rows @ rows.T
    products /= products.diagonal().mean()
    with seeded(0):
        expected = aggregator.weighting(square_root(products))
    with seeded(0):
        torch.testing.assert_close(weigh(products), expected, rtol=1e-4, atol=1e-5)


def test_a_compiled_model_is_refused_where_its_graph_is_needed_twice() -> None:
    with pytest.raises(SettingsError, match="set training.compile to false"):
        find_balancing(TrainingSettings(balancing="pcgrad", compile=True), nn.Module(), HALVES)
    assert isinstance(find_balancing(TrainingSettings(balancing="dwa", compile=True), nn.Module(), HALVES), Balancing)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
