"""`training.compile`: the same weights as without, the model as one graph."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Task
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

NETWORK = NetworkSettings(dropout=0.0)
TASKS = tuple(Task(f"t{index}") for index in range(3))
SETTINGS = TrainingSettings(epochs=2, batch_size=32, precision="full")


@pytest.mark.filterwarnings("ignore")  # what torch says of its own code
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_learns_the_same() -> None:
    # Slow to import. Kernels without vector instructions, and validation rows as many as a batch has, compile sooner.
    from torch._dynamo.utils import counters
    from torch._inductor import config

    trained = []
    for settings in (SETTINGS, replace(SETTINGS, compile=True)):
        model = MODELS.find("shared-bottom")(small_layout(), NETWORK, torch.Generator().manual_seed(0))
        counters.clear()
        with config.patch({"cpp.vec_isa_ok": False, "compile_threads": 1}):
            fit(model, small_batch(64), small_batch(32, seed=2), TASKS, settings, 0)
        trained.append(model)
    assert sum(counters["stats"].values()) > 0 and not counters["graph_break"]
    for plain, compiled in zip(trained[0].parameters(), trained[1].parameters(), strict=True):
        torch.testing.assert_close(plain, compiled, rtol=1e-3, atol=1e-4)  # a step of Adam is 1e-3
