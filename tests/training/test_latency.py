"""The latency of a model on single rows."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.features.batch import Features
from automtl.training.latency import LEAST_CALLS, WARM_CALLS, row_latencies_ms, row_latency_ms
from tests.conftest import small_batch


class Slow(nn.Module):
    """Takes some milliseconds for a row, and notes what it was given."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, list[tuple[Any, ...]]()

    def forward(self, features: Features) -> Tensor:
        time.sleep(self.seconds)
        self.calls.append((len(features.categorical), self.training, torch.get_num_threads()))
        return torch.zeros(len(features.categorical), 3)


def test_the_latency_is_that_of_one_row_in_one_thread() -> None:
    model, threads = Slow(0.002).train(), torch.get_num_threads()
    assert 2 <= row_latency_ms(model, small_batch(8)) < 40
    assert set(model.calls) == {(1, False, 1)}
    assert model.training and torch.get_num_threads() == threads


def test_a_slow_model_is_called_less_often() -> None:
    model = Slow(0.001)
    assert len(row_latencies_ms(model, small_batch(4), seconds=0.0)) == LEAST_CALLS
    assert len(model.calls) == WARM_CALLS + LEAST_CALLS
    assert len(row_latencies_ms(Slow(0), small_batch(4), calls=15)) == 15


def test_no_rows_are_an_error() -> None:
    with pytest.raises(SettingsError, match="at least one"):
        row_latency_ms(Slow(0), small_batch(4).take(slice(0, 0)))
