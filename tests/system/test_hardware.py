"""Devices, precision, pages."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from automtl.errors import SettingsError
from automtl.models.baselines import BASELINES
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.nn.tower import Towers
from automtl.system.hardware import LARGE, find_device, has_bf16, in_large_pages, precision
from automtl.tables.schema import Task
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

TASKS = tuple(Task(f"t{index}") for index in range(3))
CPU = torch.device("cpu")


def test_a_device_that_is_not_there_is_named() -> None:
    assert find_device("cpu") == CPU
    with pytest.raises(SettingsError, match="'cuda:77'"):
        find_device("cuda:77")
    with pytest.raises(SettingsError, match="'toaster'"):
        find_device("toaster")


def test_bf16_is_refused_where_the_processor_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automtl.system.hardware.has_bf16", lambda device: False)
    for name in ("full", "auto"):
        with precision(name, CPU):
            assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(SettingsError, match="use auto or full"):
        precision("bf16", CPU)


@pytest.mark.parametrize("kind", BASELINES)
def test_every_model_trains_in_bf16_and_keeps_full_parameters(kind: str) -> None:
    if not has_bf16(CPU):
        pytest.skip("this processor has no bf16")
    network = NetworkSettings(embedding_size=4, width=8, towers=(4,))
    settings = TrainingSettings(epochs=3, batch_size=32, learning_rate=0.01)
    found = []
    for name in ("full", "bf16"):
        model = MODELS.find(kind)(small_layout(), network, torch.Generator().manual_seed(0))
        found.append(fit(model, small_batch(128), small_batch(64, seed=2), TASKS, replace(settings, precision=name), 0))
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert found[0].score == pytest.approx(found[1].score, rel=0.02)


def test_logits_are_not_rounded_in_bf16() -> None:
    towers = Towers(2, 4, (8,), torch.Generator().manual_seed(0))
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
    full = towers(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = towers(x)
    assert low.dtype == torch.float32
    assert 0 < (low - full).abs().max() < 0.02


def test_large_pages_hold_the_same_numbers() -> None:
    values = torch.arange(LARGE // 4 + 2).float().view(-1, 3)
    copy = in_large_pages(values)
    assert torch.equal(copy, values)
    assert in_large_pages(values[:10]).data_ptr() == values.data_ptr()
