"""A fit shows its stages and the best models on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from automtl.cli.progress import CANDIDATES, STAGES, Live, leaderboard
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


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as live:
        live.callback(Progress("training", 1, 2))
        live.callback(Ranked(ROWS))
    assert capsys.readouterr() == ("", "")
