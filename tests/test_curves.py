"""The points of the cost curves (benchmarks/curves.py) are what they say, and their results are kept and drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import curves
from automtl.models.baselines.mmoe import MMoE
from automtl.models.settings import NetworkSettings

SMALL = curves.Point(rows=32, tasks=2, experts=3, fields=2)


@pytest.mark.parametrize("kind", curves.KINDS)
def test_every_kind_of_step_can_be_taken_twice(kind: str) -> None:
    run = curves.RUNS[kind][2](SMALL)
    run()
    run()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is told by Linux alone")
def test_a_point_has_its_time_and_its_peak_memory() -> None:
    found = curves.measured("mmoe", SMALL)
    assert found["milliseconds"] > 0 and found["megabytes"] >= 0


def test_every_axis_passes_through_the_common_point() -> None:
    assert all(getattr(curves.Point(), axis) in values for axis, values in curves.AXES.items())


@pytest.mark.parametrize(("tasks", "experts"), [(1, 8), (4, 16), (16, 8), (4, 2)])
def test_no_expert_of_the_derived_model_is_idle(tasks: int, experts: int) -> None:
    point = curves.Point(rows=8, tasks=tasks, experts=experts)
    layout, rows = curves.table(point, 1)
    network = curves.derived_model(layout, NetworkSettings(), point)
    assert sum(map(len, network.blocks["pooling"].groups)) == experts
    assert network(rows.features).shape == (8, tasks)


def test_an_mmoe_of_eight_experts_is_the_librarys() -> None:
    layout, rows = curves.table(curves.Point(rows=8), 1)
    ours = curves.mmoe_model(layout, NetworkSettings(), curves.Point()).eval()
    theirs = MMoE(layout, NetworkSettings(), torch.Generator().manual_seed(1)).eval()
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(rows.features), theirs(rows.features))


def test_an_axis_measured_again_leaves_the_others_and_kinds_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "RESULTS", tmp_path / "results" / "curves.json")
    curves.save("tasks", {"mmoe": [1], "derived": [2]})
    curves.save("rows", {"mmoe": [3]})
    curves.save("tasks", {"mmoe": [4]})
    found = json.loads(curves.RESULTS.read_text())
    assert list(curves.read_results()) == ["rows", "tasks"]
    assert {kind: curve["points"] for kind, curve in found["tasks"].items()} == {"derived": [2], "mmoe": [4]}
    assert found["rows"]["mmoe"]["points"] == [3]
    assert all(found["rows"]["mmoe"][about] for about in ("machine", "versions"))


def test_the_same_figures_are_drawn_as_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(curves, "IMAGES", tmp_path)
    points = [{"tasks": 1, "milliseconds": 2.0, "megabytes": 3.0}, {"tasks": 2, "milliseconds": 3.0, "megabytes": 9.0}]
    first = curves.draw("tasks", {"mmoe": {"points": points}}).read_bytes()
    assert curves.draw("tasks", {"mmoe": {"points": points}}).read_bytes() == first
    assert b"<dc:date>" not in first and len(first) < 60_000
