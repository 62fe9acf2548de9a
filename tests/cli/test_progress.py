"""A fit shows its stages and the best models on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from automtl.cli.progress import CANDIDATES, STAGES, Live, StageLines, leaderboard
from automtl.experiment.leaderboard import Ranked
from automtl.system.progress import Progress
from tests.report.leaderboard import leaderboard_rows

ROWS = leaderboard_rows(("click", "buy"), [f"candidate-{place}" for place in range(12)])


def text_of(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_best_models_so_far_are_shown_with_training_time_and_shares() -> None:
    text = text_of(leaderboard(ROWS))
    assert f"{CANDIDATES} of 13 models" in text
    assert "candidate-6" in text and "candidate-7" not in text
    assert "60 % 60 %" in text and "– –" in text and "12 s" in text
    assert "0.73" not in text  # test rows


def test_the_leaderboard_stands_above_the_last_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    live = Live()
    for stage in range(STAGES + 2):
        live.callback(Progress(f"training candidate-{stage}", 1, 2, 0.5, {"click": 0.7}))
    live.callback(Ranked(ROWS))
    text = text_of(live.live.renderable)
    assert text.index("best so far") < text.index("training candidate-2")
    assert "training candidate-1" not in text and "loss 0.5000" in text


def test_without_a_terminal_a_line_says_where_each_stage_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as live:
        for step in (1, 2):
            live.callback(Progress("training a", step, 3, 0.5, {"click": 0.71234}))
        live.callback(Ranked(ROWS))
        live.callback(Progress("scoring", 500, 4000, rate=1250.4))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("s  ")[1] for line in lines] == [
        "training a: 2 of 3, loss 0.5000  click 0.7123",
        "scoring: 500 of 4,000, 500 rows, 1,250 a second",
    ]


def test_a_long_stage_says_every_minute_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = StageLines(lambda: now[0])
    for step in range(1, 10):
        now[0] += 20.0
        lines.show(Progress("encoding", step, 9))
    lines.end()
    lines.end()
    said = [line.split()[3] for line in capsys.readouterr().err.splitlines()]
    assert said == ["3", "6", "9", "9"]
