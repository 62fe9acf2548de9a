"""A library call leaves the process as it was."""

from __future__ import annotations

import os
import random
import warnings
from typing import Any

import numpy as np
import polars as pl
import torch

from automtl import AutoMTL
from automtl.system import memory
from tests.conftest import TINY


def state() -> dict[str, Any]:
    """What a program can see of the process-wide state of torch, numpy and Python."""
    return {
        "denormals": float(torch.tensor([1e-38]) * 0.1) > 0,
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")),
        "torch numbers": torch.get_rng_state().tolist(),
        "numpy numbers": np.random.get_state(legacy=True)[1].tolist(),  # type: ignore[index]
        "numpy errors": np.geterr(),
        "numbers": random.getstate(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "allocator": memory._depth,
    }


def test_a_fit_and_a_prediction_leave_the_process_as_it_was(log: pl.DataFrame) -> None:
    states = [state()]
    for _ in range(2):
        model = AutoMTL(["click", "buy"], drop=["like", "cart"], settings=TINY).fit(log)
        model.predict(log)
        states.append(state())
    before, first, second = states
    assert second == first
    imported = {"environment", "warnings", "numbers"}  # other packages touch these when they are first imported
    assert {name for name in first if first[name] != before[name]} <= imported
