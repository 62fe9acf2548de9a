"""The public functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from automtl import AutoMTL
from automtl.cli import app
from automtl.config import Settings, make_settings, read_settings
from automtl.dataset.store import DataLoaderSettings
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, Run, fit_table
from automtl.nn.mixture import SeparateCandidates
from automtl.operations import Block, Operation
from automtl.predictor import Predictor
from tests.conftest import TINY


@dataclass(frozen=True)
class Doubled(Operation):
    """An operation from outside the project: twice the input."""

    blocks = (Block.LAYER,)

    @staticmethod
    def mixture(candidates: Sequence[Any], stack: int, shape: Any, generator: torch.Generator) -> Any:
        return SeparateCandidates([Twice()])


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def chosen(run: Run) -> dict[str, Any]:
    """Return the history of a fit without its seconds and test metrics."""
    measured = {"test", "seconds", "latency_ms"}
    ranked = [{name: row[name] for name in row if name not in measured} for row in run.history.get("leaderboard", ())]
    return run.history | {"leaderboard": ranked}


def with_split(log: pl.DataFrame) -> pl.DataFrame:
    part = pl.int_range(pl.len()) % 5
    return log.with_columns(
        part=pl.when(part == 0).then(pl.lit("test")).when(part == 1).then(pl.lit("val")).otherwise(pl.lit("train"))
    )


def run(table: pl.DataFrame, tiny: Settings, seed: int = 0) -> Run:
    return fit_table(
        table, ["click", "buy"], roles=ColumnRoles(drop=("like", "cart"), split="part"), settings=tiny, seed=seed
    )


def test_poisoned_test_rows_change_no_weight_and_no_choice(log: pl.DataFrame, tiny: Settings) -> None:
    table = with_split(log)
    is_test = pl.col("part") == "test"
    poisoned = table.with_columns(
        *(pl.when(is_test).then(1 - pl.col(task)).otherwise(pl.col(task)).alias(task) for task in ("click", "buy")),
        user_id=pl.when(is_test).then(pl.lit(77)).otherwise(pl.col("user_id")),
        price=pl.when(is_test).then(pl.lit(1e9)).otherwise(pl.col("price")),
        device=pl.when(is_test).then(pl.lit("toaster")).otherwise(pl.col("device")),
    )
    clean, other = run(table, tiny), run(poisoned, tiny)
    assert clean.predictor.spec == other.predictor.spec
    assert chosen(clean) == chosen(other)
    for a, b in zip(clean.predictor.network.parameters(), other.predictor.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert clean.metrics["test"] != other.metrics["test"]


def test_the_same_seed_gives_the_same_architecture_and_metrics(log: pl.DataFrame, tiny: Settings) -> None:
    table = with_split(log)
    first, second = run(table, tiny, 3), run(table, tiny, 3)
    assert first.predictor.spec == second.predictor.spec
    assert first.metrics["test"] == second.metrics["test"]


def test_the_estimator_fits_saves_and_predicts_as_the_loaded_folder_does(log: pl.DataFrame, tmp_path: Any) -> None:
    from automtl import Predictor

    settings = {**TINY, "training": {"epochs": 20, "batch_size": 64}}
    model = AutoMTL(tasks=["click"], drop=["like", "buy", "cart"], settings=settings, seed=1)
    with pytest.raises(SettingsError, match="not fitted"):
        model.predict(log)
    scores = model.fit(log.to_pandas()).predict(log)
    model.save(tmp_path / "model")
    assert Predictor.load(tmp_path / "model").predict(log).equals(scores)
    assert 0.5 < model.metrics_["validation"]["tasks"]["click"]["auc"] <= 1
    assert AutoMTL(**model.get_params()).get_params() == model.get_params()


def test_regression_missing_labels_weights_and_an_outside_operation(log: pl.DataFrame) -> None:
    table = log.with_columns(
        watch=pl.when(pl.col("click") == 1).then(pl.col("price").log1p() + 0.01 * pl.col("hour")),
        importance=pl.lit(2.0),
    )
    changed = {**TINY, "space": {**TINY["space"], "expert_layers": ["skip", "tests.experiment.test_fit:Doubled"]}}
    roles = ColumnRoles(drop=("like", "buy", "cart"), weight="importance")
    found = fit_table(table, ["click", "watch"], roles=roles, settings=make_settings(changed))
    tasks = found.metrics["test"]["tasks"]
    assert set(tasks["watch"]) == {"rmse", "mae", "rows"}
    assert tasks["watch"]["rows"] < tasks["click"]["rows"]
    architecture = found.predictor.spec.architecture
    assert architecture is not None
    layers = {str(layer) for name in ("layer_1", "layer_2") for layer in architecture[name]}
    assert layers <= {"skip", "tests.experiment.test_fit:Doubled"}


def test_historical_rates_are_left_out_where_validation_rows_say_so(log: pl.DataFrame, tiny: Settings) -> None:
    found = run(with_split(log), tiny)
    tried = found.history["presets"]
    assert [entry["name"] for entry in tried] == ["all inputs, strong decay", "all inputs", "ids only"]
    best = min(tried, key=lambda entry: entry["score"])
    assert best["chosen"]
    assert found.metrics["preset"] == best["name"]


def test_rows_kept_in_files_give_the_same_model_as_rows_in_memory(log: pl.DataFrame, tiny: Settings) -> None:
    table = with_split(log)
    mapped = replace(tiny, data_loader=DataLoaderSettings(mapped=True, part_rows=200))
    first, second = run(table, tiny), run(table, mapped)
    assert chosen(first) == chosen(second)
    assert first.metrics["test"] == second.metrics["test"]


def test_rows_beyond_the_memory_given_are_shuffled_by_blocks_and_leave_no_file(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    small = replace(tiny, data_loader=DataLoaderSettings(memory_bytes=20_000, part_rows=200), presets=())
    found = [
        fit_table(log, ["click"], roles=ColumnRoles(drop=("like", "buy", "cart")), settings=small, out=tmp_path / name)
        for name in ("a", "b")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert found[0].metrics["test"] == found[1].metrics["test"]
    held = replace(small, data_loader=DataLoaderSettings())
    other = fit_table(log, ["click"], roles=ColumnRoles(drop=("like", "buy", "cart")), settings=held)
    assert other.history["training"] != found[0].history["training"]  # the order of rows differs
    gap = other.metrics["test"]["mtl_loss"] - found[0].metrics["test"]["mtl_loss"]
    assert abs(gap) < 0.05


def test_what_a_run_folder_records_gives_its_weights_again(log: pl.DataFrame, tmp_path: Path) -> None:
    log = log.head(500)
    log.write_parquet(tmp_path / "log.parquet")
    quick = {
        "model": "shared-bottom",
        "report": False,
        "presets": [],
        "training": {"epochs": 1},
        "network": {"width": 8, "towers": [4]},
    }
    roles = ColumnRoles(drop=("like", "cart"))
    first = fit_table(log, ["click", "buy"], roles=roles, settings=make_settings(quick), seed=5, out=tmp_path / "first")
    assert read_settings(tmp_path / "first" / "settings.json") == make_settings(quick)
    recorded = [
        "--config",
        str(tmp_path / "first" / "settings.json"),
        "--schema",
        str(tmp_path / "first" / "schema.yaml"),
    ]
    app(["fit", str(tmp_path / "log.parquet"), *recorded, "--out", str(tmp_path / "again")], standalone_mode=False)
    again = Predictor.load(tmp_path / "again")
    for name, value in first.predictor.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
