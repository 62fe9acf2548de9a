"""The demo compares the models that it trained, and says what came out whichever way it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from automtl.ensemble.saved_model import read_part
from automtl.experiment.demo import run_demo
from automtl.experiment.fit import Run
from automtl.predictor import Predictor
from automtl.report.demo import Demo, judged
from automtl.system.progress import Event, Progress

TINY = {
    "budget": {"preset": "fast"}, "encoder": {"prune_histories": False}, "trees": {"rounds": 10},
    "training": {"epochs": 1}, "network": {"embedding_size": 4, "width": 8, "towers": [8]},
}  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Demo, list[Event], Path]:
    events, out = list[Event](), tmp_path_factory.mktemp("demo") / "run"
    run, found = run_demo(out, rows=2000, changes=TINY, callback=events.append)
    return run, found, events, out


def test_all_models_are_in_the_table_with_quality_and_cost(demo: tuple[Run, Demo, list[Event], Path]) -> None:
    _, found, _, _ = demo
    _, header, rows = found.table()
    names = [row[0] for row in rows]
    for name in ("base rates", "LightGBM", "MMoE", "one network, made by hand", "the truth"):
        assert name in names
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_name["base rates"]["click"] == "0.5000" and float(by_name["the truth"]["mean"]) > 0.7
    assert all(by_name["MMoE"][column] for column in ("trained in", "latency", "FLOPs"))
    first, second, *others = found.sentences()
    assert "LightGBM" in first and "MMoE" in first and "the truth" in first and second.startswith("The search: ")
    assert [one.split(",")[0] for one in others] == ["Trained once more"] * (found.last is not None)
    assert ("the same, on validation rows, too" in names) == (found.last is not None)


def test_baselines_are_trained_once_and_never_join(demo: tuple[Run, Demo, list[Event], Path]) -> None:
    run, _, events, _ = demo
    board = {row["name"]: row for row in run.history["leaderboard"]}
    for name in ("mmoe", "network made by hand"):
        assert board[name]["stage"] == "baseline" and not any(board[name]["share"].values())
    assert {one["name"] for one in run.metrics["baselines"]} == {"boosted trees", "mmoe", "network made by hand"}
    trained = [event.stage for event in events if isinstance(event, Progress) and event.step == 1]
    assert not any("lightgbm" in stage for stage in trained)  # the ensemble's trees stand for it


def test_the_seconds_of_stages_are_the_whole(demo: tuple[Run, Demo, list[Event], Path]) -> None:
    *_, out = demo
    seconds = read_part(out, "metrics")["seconds"]
    total = seconds.pop("total")
    assert sum(seconds.values()) == pytest.approx(total)
    stages = {"reading", "encoding", "trees", "networks", "selection", "baselines", "test", "report", "rest"}
    assert stages <= set(seconds)
    costs = read_part(out, "metrics")
    assert costs["flops_per_row"] > 0 and costs["latency_ms"]["raw_row"] > 0 < costs["latency_ms"]["encoded_row"]
    assert "in all" in (out / "report.html").read_text()
    assert Predictor.load(out).schema.task_names == ("click", "long_view", "like", "buy")


def test_a_gain_is_called_one_only_where_its_interval_says_so() -> None:
    gain = {
        "click": {"mean": 0.1, "low": 0.05, "high": 0.2}, "buy": {"mean": 0.1, "low": -0.1, "high": 0.2},
        "like": {"mean": -0.1, "low": -0.2, "high": -0.05},
    }  # fmt: skip
    assert judged(gain) == "better on click, worse on like, within noise on 1 of 3 tasks"
    assert judged({"buy": gain["buy"]}) == "within noise on all tasks"
