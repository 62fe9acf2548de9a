"""What tests share: a small log, small settings, shapes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from hypothesis import settings

from automtl.config import Settings, make_settings
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout, MultiLayout, NumericLayout
from automtl.tables.schema import Task
from automtl.tables.synthetic import synthetic_log

settings.register_profile("automtl", deadline=None, derandomize=True)  # timings never decide a test
settings.load_profile("automtl")

TASKS = ("click", "like", "buy", "cart")
TINY = {
    "search": {"max_steps": 6, "batch_size": 64, "stop_every": 2, "max_rows": 1000},
    "space": {"experts": 4, "layers": 2, "expert_layers": ["skip", "hidden-gate", "mlp-16", "conv-3"], "keep": 2},
    "training": {"epochs": 2, "batch_size": 128},
    "network": {"embedding_size": 8, "width": 16, "towers": [8]},
}


@pytest.fixture(scope="session")
def log() -> pl.DataFrame:
    return synthetic_log(1500, users=60, items=40, interaction=0.3, seed=1)


@pytest.fixture(scope="session")
def tiny() -> Settings:
    return make_settings(TINY)


@pytest.fixture(scope="session")
def log_file(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    log.write_parquet(path)
    return path


def small_layout(num_tasks: int = 3) -> Layout:
    return Layout(
        (CategoricalLayout("a", 9), CategoricalLayout("b", 5)),
        (MultiLayout("m", 6, "mean"),),
        (NumericLayout("n", ("x",)), NumericLayout("r", ("y", "z"))),
        tuple(Task(f"t{index}") for index in range(num_tasks)),
    )


def small_batch(rows: int = 40, num_tasks: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    features = Features(
        torch.stack([torch.randint(0, size, (rows,), generator=generator) for size in (9, 5)], dim=1),
        (torch.randint(0, 6, (rows, 3), generator=generator),),
        torch.randn(rows, 3, generator=generator),
    )
    labels = torch.randint(0, 2, (rows, num_tasks), generator=generator).float()
    mask = (torch.rand(rows, num_tasks, generator=generator) > 0.2).float()
    return Batch(features, labels * mask, mask, torch.ones(rows))
