"""How much a fit does: presets, time limits, and a request to stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from automtl.cli import main
from automtl.config import BUDGETS, Settings, make_settings, read_settings
from automtl.ensemble.ensemble import Ensemble, trees_of
from automtl.errors import SchemaError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.all_rows import ALL_ROWS
from automtl.experiment.leaderboard import Ranked
from automtl.predictor import Predictor
from automtl.search.darts import DartsSettings
from automtl.search.halving import HalvingSettings
from automtl.system.deadline import Deadline
from automtl.system.progress import Event

ROLES = ColumnRoles(drop=("like", "cart"))
SMALL: dict[str, Any] = {
    "report": False,
    "space": {"experts": 2, "layers": 1},
    "network": {"embedding_size": 4, "width": 8, "towers": [4]},
    "training": {"epochs": 2, "batch_size": 128},
    "trees": {"rounds": 5},
}
TWO = {**SMALL, "search": {"trainings": 2, "pause_after": 1}, "selection": {"boosted_trees": "one"}}


def names(run: Any, stage: str | None = None) -> list[str]:
    return [row["name"] for row in run.history["leaderboard"] if stage in (None, row["stage"])]


def test_a_fit_keeps_every_training(log: pl.DataFrame) -> None:
    events: list[Event] = []
    run = fit_table(log, ["click", "buy"], roles=ROLES, settings=make_settings(TWO), callback=events.append)
    assert isinstance(run.predictor.network, Ensemble) and names(run)[:2] == [ALL_ROWS, "ensemble"]
    assert {"automtl 1", "boosted trees", "shared-bottom: all inputs"} <= set(names(run))
    assert len(names(run, "search")) == 2
    assert len(set(names(run))) == len(names(run))
    ranked = [event for event in events if isinstance(event, Ranked)]
    assert len(ranked[-1].rows) == len(names(run)) - 2
    assert run.metrics["ended_early"] is False
    assert [step["name"] for step in run.metrics["waterfall"]["steps"]][-2:] == ["ensemble", ALL_ROWS]
    assert {task: sum(row["share"][task] for row in run.history["leaderboard"][2:]) for task in ("click", "buy")} == {
        "click": pytest.approx(1.0, abs=1e-4), "buy": pytest.approx(1.0, abs=1e-4)
    }  # fmt: skip
    assert run.history["leaderboard"][0]["test"]["click"] == run.metrics["test"]["tasks"]["click"]["auc"]


def test_a_fit_that_is_stopped_gives_a_model_of_what_is_trained(log: pl.DataFrame, tmp_path: Path) -> None:
    deadline = Deadline()
    deadline.stop()
    settings = make_settings({**SMALL, "search": {"trainings": 50}})
    run = fit_table(log, ["click"], roles=ColumnRoles(drop=("like", "buy", "cart")), settings=settings,
                    deadline=deadline, out=tmp_path / "run")  # fmt: skip
    assert run.metrics["ended_early"] is True
    assert names(run, "search") == ["automtl 1"]
    tried = [entry["name"] for entry in run.history["presets"]]
    assert tried == ["all inputs, strong decay"]
    assert 0 < run.metrics["test"]["tasks"]["click"]["auc"] < 1
    assert Predictor.load(tmp_path / "run").predict(log).equals(run.predictor.predict(log))


def test_a_fit_that_is_stopped_while_it_searches_keeps_what_it_has(log: pl.DataFrame) -> None:
    deadline = Deadline()

    def stop(event: Event) -> None:
        if isinstance(event, Ranked) and sum(row["stage"] == "search" for row in event.rows) == 2:
            deadline.stop()

    settings = make_settings({**TWO, "search": {"trainings": 50, "pause_after": 1, "promoted": 1.0}})
    run = fit_table(log, ["click", "buy"], roles=ROLES, settings=settings, deadline=deadline, callback=stop)
    assert len(names(run, "search")) == 2
    assert run.metrics["ended_early"] is True


def test_a_time_limit_ends_a_fit(log: pl.DataFrame) -> None:
    settings = make_settings({**TWO, "search": {"trainings": 10_000}, "budget": {"time_limit": "200ms"}})
    run = fit_table(log, ["click", "buy"], roles=ROLES, settings=settings)
    assert run.metrics["ended_early"] is True and len(names(run)) < 50


def test_fast_trains_one_network_and_trees(log: pl.DataFrame) -> None:
    run = fit_table(log, ["click", "buy"], roles=ROLES, settings=make_settings({**SMALL, "budget": {"preset": "fast"}}))
    stages = [row["stage"] for row in run.history["leaderboard"] if row["name"] not in ("ensemble", ALL_ROWS)]
    assert sorted(stages) == ["boosted trees", "search"]
    assert len(trees_of(run.predictor.network)) <= 1


def test_presets_change_what_they_say() -> None:
    fast, balanced, best = (make_settings({"budget": {"preset": name}}) for name in ("fast", "balanced", "best"))
    assert balanced == Settings()
    assert fast.search == HalvingSettings(trainings=1, promoted=1.0, pretrained_embedding=False)
    assert (fast.selection.boosted_trees, len(fast.presets)) == ("one", 1)
    assert isinstance(best.search, HalvingSettings) and best.search.patience is not None
    assert best.search.trainings > 100 and best.presets == balanced.presets
    assert set(BUDGETS) == {"fast", "balanced", "best"}
    assert make_settings(fast.to_dict()) == fast and make_settings(best.to_dict()) == best


def test_a_preset_in_a_file_leaves_what_the_file_sets(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({
        "budget": {"preset": "fast", "time_limit": "10m"}, "search": {"pause_after": 2}, "trees": {"rounds": 7},
        "presets": [],
    }))  # fmt: skip
    found = read_settings(path)
    assert found.search == HalvingSettings(trainings=1, promoted=1.0, pretrained_embedding=False, pause_after=2)
    assert (found.trees.rounds, found.trees.learning_rate) == (7, 0.1)
    assert found.presets == () and found.budget.time_limit == 600.0 and not found.budget.base_network
    other = read_settings(path, {"budget": {"preset": "best"}, "search": {"trainings": 3}})
    assert (other.budget.preset, other.budget.time_limit) == ("best", 600.0)
    assert other.search == HalvingSettings(trainings=3, patience=12, pause_after=2)
    path.write_text(yaml.safe_dump({"budget": {"preset": "fast"}, "variants": []}))
    assert read_settings(path).presets == ()


def test_a_preset_leaves_the_search_of_another_strategy_as_it_is() -> None:
    for name in ("fast", "best"):
        found = make_settings({"strategy": "darts", "budget": {"preset": name}, "search": {"max_steps": 5}})
        assert found.search == DartsSettings(max_steps=5)
    named = make_settings({"strategy": "halving", "budget": {"preset": "fast"}})
    assert named == make_settings({"budget": {"preset": "fast"}})


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"preset": "fats"}, "'budget.preset': Input should be 'fast', 'balanced' or 'best', found 'fats'"),
        ({"preset": ["fast"]}, "'budget.preset'"),
        ({"time_limits": 3}, "unknown setting 'budget.time_limits'; did you mean 'time_limit'"),
        ({"time_limit": "soon"}, "'soon' is no duration; write 0s, 90s, 30m, 1h or 2d"),
        ({"time_limit": -1}, "-1 is no duration"),
    ],
)
def test_a_wrong_budget_is_named(budget: dict[str, Any], message: str) -> None:
    with pytest.raises((SettingsError, SchemaError), match=message):
        make_settings({"budget": budget})


def test_a_time_limit_is_read_as_a_duration() -> None:
    for text, seconds in (("10m", 600.0), ("90s", 90.0), ("1.5h", 5400.0), (20, 20.0)):
        assert make_settings({"budget": {"time_limit": text}}).budget.time_limit == seconds


def test_the_command_takes_a_preset_with_another_strategy_and_bounds(
    log: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log.drop("like", "cart").write_parquet(tmp_path / "log.parquet")
    small = {**SMALL, "search": {"max_steps": 3, "batch_size": 32}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    monkeypatch.chdir(tmp_path)
    command = ["fit", "log.parquet", "--task", "click", "--task", "buy", "--config", "small.yaml", "--out", "run"]
    options = ["--preset", "fast", "--strategy", "darts", "--time-limit", "10m", "--max-parameters", "1000000"]
    assert called(monkeypatch, *command, *options) == 0
    settings = yaml.safe_load((tmp_path / "run" / "settings.json").read_text())
    assert settings["strategy"] == "darts" and settings["search"]["max_steps"] == 3
    assert settings["budget"] == {"preset": "fast", "time_limit": 600.0, "base_network": False, "save_every": 60.0}
    assert settings["selection"]["max_parameters"] == 1_000_000
    capsys.readouterr()
    assert called(monkeypatch, *command, "--strategy", "darts", "--overwrite", "--time-limit", "soon") == 2
    assert "'soon' is no duration" in capsys.readouterr().err


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["automtl", *arguments])
    with pytest.raises(SystemExit) as found:
        main()
    return int(found.value.code or 0)
