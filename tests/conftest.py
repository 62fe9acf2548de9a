"""What tests share: a small log, small settings, shapes."""

from __future__ import annotations

import gc
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings

from automtl.config import Settings, make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.tables.synthetic import synthetic_log
from automtl.testing.examples import small_batch as small_batch
from automtl.testing.examples import small_layout as small_layout
from tests.recorded_errors import record_errors


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-errors", metavar="FILE", help="Add to a file where each error of ours was made.")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record-errors"):
        record_errors(Path(config.getoption("--record-errors")))


def pytest_collection_finish() -> None:
    """What is imported and collected stays to the end; the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


settings.register_profile("automtl", deadline=None, derandomize=True)  # timings never decide a test
settings.load_profile("automtl")

TASKS = ("click", "like", "buy", "cart")
TINY = {
    "strategy": "progressive",
    "search": {"max_steps": 6, "batch_size": 64, "stop_every": 2, "max_rows": 1000},
    "space": {"experts": 4, "layers": 2, "expert_layers": ["skip", "hidden-gate", "mlp-16", "conv-3"], "keep": 2},
    "training": {"epochs": 2, "batch_size": 128},
    "network": {"embedding_size": 8, "width": 16, "towers": [8]},
    "trees": {"rounds": 40, "learning_rate": 0.1},
    "report": False,
    "selection": {"worth": 0},  # on so few rows it would often leave out the network that is searched
}


@pytest.fixture(scope="session")
def log() -> pl.DataFrame:
    return synthetic_log(1500, users=60, items=40, interaction=0.3, seed=1)


@pytest.fixture(scope="session")
def tiny() -> Settings:
    return make_settings(TINY)


@pytest.fixture(scope="session")
def predictor(log: pl.DataFrame, tiny: Settings) -> Predictor:
    return fit_table(log, ["click"], roles=ColumnRoles(drop=("like", "buy", "cart")), settings=tiny).predictor


@pytest.fixture(scope="session")
def log_file(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    log.write_parquet(path)
    return path
