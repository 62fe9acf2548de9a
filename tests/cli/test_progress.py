"""A fit shows its stages and the best models on a terminal."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import typer
from rich.console import Console

from automtl.cli.progress import CANDIDATES, STAGES, SUSPENDED, Live, StageLines, TimeLeft, leaderboard, resumable
from automtl.cli.verbosity import quietly, verbosely
from automtl.experiment.leaderboard import Ranked
from automtl.system.progress import Notice, Progress, Whole
from automtl.tables.quality import Finding, Findings
from tests.report.leaderboard import leaderboard_rows

ROWS = leaderboard_rows(("click", "buy"), [f"candidate-{place}" for place in range(12)])


def text_of(renderable: object, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
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
    live.callback(Whole(3, 12))
    text = text_of(live.render())
    assert text.index("best so far") < text.index("training candidate-2") < text.index("3 of 12 trainings, about")
    assert "training candidate-1" not in text and "loss 0.5000" in text
    assert text.count("stopped early") == STAGES - 1  # all but the one that runs
    assert live.kept() == "13 trained models are kept; "


@pytest.mark.parametrize("width", [80, 120])
def test_four_tasks_fit_on_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    tasks, live = ("click", "long_view", "like", "buy"), Live()
    names = [f"a model of a long name, number {place}" for place in range(12)]
    for stage in ("choosing inputs: all inputs, strong decay", "training network 1"):
        live.callback(Progress(stage, 140_000, 1_120_000, 0.2595, dict.fromkeys(tasks, 0.6912)))
    live.callback(Ranked(leaderboard_rows(tasks, names)))
    live.callback(Whole(5, 14))
    lines = text_of(live.render(), width).splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    bars = [line for line in lines if "loss 0.2595" in line]
    assert len(bars) == 2 and all("0.6912" in line for line in bars)  # none is broken or cut
    assert (sum("number 0" in line or "…" in line for line in lines) and "9 " in lines[-1]) or "left" in lines[-1]


def test_the_time_left_is_that_of_the_trainings_to_come_within_the_limit() -> None:
    now = [0.0]
    left = TimeLeft(clock=lambda: now[0])
    assert left.text() == "" and left.seconds is None
    now[0] = 30.0
    left.take(Whole(3, 12))
    now[0] = 40.0
    assert left.seconds == 80.0 and left.text() == "3 of 12 trainings, about 80 s left"
    left.limit = 60.0
    assert left.seconds == 20.0
    left.take(Whole(4, None))
    assert left.text() == "4 trainings, about 20 s left"


def test_quiet_tells_warnings_alone_and_verbose_every_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding("leak", "warning", "duration", "says the label", 1.0, "drop it")
    with quietly(True), Live() as live:
        live.callback(Notice("histories of user_id"))
        live.callback(Progress("training a", 1, 3, 0.5))
        live.callback(Findings((finding, replace(finding, level="note"))))
    assert capsys.readouterr().err == "warning: 'duration' says the label; drop it\n"
    with verbosely(True), Live() as live:
        for step in (1, 2):
            live.callback(Progress("training a", step, 3, 0.5))
    assert capsys.readouterr().err.count("training a") == 3  # and where it ended


def test_without_a_terminal_a_line_says_where_each_stage_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as live:
        for step in (1, 2):
            live.callback(Progress("training a", step, 3, 0.5, {"click": 0.71234}))
        live.callback(Ranked(ROWS))
        live.callback(Progress("scoring", 500, 4000, rate=1250.4))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("s  ")[1] for line in lines] == [
        "training a: stopped at 2 of 3, loss 0.5000  click 0.7123",
        "scoring: stopped at 500 of 4,000, 500 rows, 1,250 a second",
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


def waits() -> None:
    """Ask this process to terminate while an event loop runs, as in a comparison."""

    async def asked() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    asyncio.run(asked())


@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN, signal.default_int_handler], ids=["in the background", "in front"])
@pytest.mark.parametrize("work", [waits, lambda: os.kill(os.getpid(), signal.SIGTERM)], ids=["event loop", "plain"])
def test_a_request_to_terminate_ends_in_one_line_and_says_that_it_can_go_on(
    work: Callable[[], None], ctrl_c: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.signal(signal.SIGINT, ctrl_c), signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(typer.Exit) as ended, resumable(lambda: "2 of 5: "):
            work()
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert ended.value.exit_code == SUSPENDED
    assert capsys.readouterr().err == "stopped; 2 of 5: the same command goes on from there\n"
    assert signal.getsignal(signal.SIGTERM) == before[1]


def test_ctrl_c_ends_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, resumable():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert "goes on from there" in capsys.readouterr().err
