"""Weights averaged over the steps of a training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.training.averaging import EVERY, Averaging
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings
from automtl.training.updates import updating
from tests.conftest import small_batch, small_layout

SETTINGS = TrainingSettings(epochs=2, batch_size=8)


def model() -> nn.Module:
    sizes = NetworkSettings(embedding_size=4, width=8, towers=(4,))
    return MODELS.find("mmoe")(small_layout(), sizes, torch.Generator().manual_seed(0))


def test_the_average_equals_a_plain_loop_and_the_own_weights_come_back() -> None:
    layer = nn.Linear(2, 1)
    averaging, expected = Averaging(layer, 0.9), layer.weight.detach().clone()
    for step in range(1, 4 * EVERY + 1):
        with torch.no_grad():
            layer.weight.add_(step)
        averaging.after_step()
        if step % EVERY == 0:
            decay = min(0.9, (1 + step) / (10 + step)) ** EVERY
            expected = decay * expected + (1 - decay) * layer.weight.detach()
    own, place = layer.weight.detach().clone(), layer.weight.data_ptr()
    with averaging.in_place():
        torch.testing.assert_close(layer.weight, expected)
    assert torch.equal(layer.weight, own)
    assert layer.weight.data_ptr() == place


def test_a_fit_leaves_the_averages_and_without_decay_the_weights_themselves() -> None:
    left = []
    for decay in (0.0, 0.99):
        made = model()
        settings = replace(SETTINGS, epochs=1, averaging=decay)
        fit(made, small_batch(64), small_batch(32, seed=1), small_layout().tasks, settings, 0)
        left.append(torch.cat([parameter.detach().flatten() for parameter in made.parameters()]))
    assert not torch.allclose(left[0], left[1], atol=1e-4)


def test_tables_that_move_by_rows_are_not_averaged() -> None:
    made = model()
    with updating(made, small_batch(64), replace(SETTINGS, embedding_updates="row-wise")) as updates:
        averaged = {id(one) for one in updates.averaging.weights}
    tables = {id(module.table) for module in updates.apart}
    assert tables
    assert averaged & {id(one) for one in made.parameters()} == {id(one) for one in made.parameters()} - tables
