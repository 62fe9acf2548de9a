"""Show the progress of a run on standard error."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from automtl.cli.show import show_findings, text_table
from automtl.system.deadline import Suspended
from automtl.system.workers import speaks

STAGES = 4  # the last ones, which are shown
EVERY = 60.0  # seconds after which a long stage says again how far it is, where nothing can be drawn
CANDIDATES = 8  # the best ones, which are shown

if TYPE_CHECKING:
    from automtl.system.deadline import Deadline


class Display(ABC):
    """Shows findings and notices as lines, and progress as subclasses say. `live`: what rich updates on a terminal."""

    live: Any

    def __enter__(self) -> Any:
        if self.live.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def callback(self, event: Any) -> None:
        """Show one event."""
        from automtl.system.progress import Notice
        from automtl.tables.quality import Findings

        if isinstance(event, Findings):
            show_findings(event.findings)
        elif isinstance(event, Notice):
            typer.echo(event.text, err=True)
        else:
            self.show(event)

    @abstractmethod
    def show(self, progress: Any) -> None:
        """Show one event of progress."""


class StageLines:
    """Says in lines how far a run is, for logs and pipes: where a stage has ended, and every minute of a long one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.start = clock, clock()
        self.said = self.start
        self.last: Any = None

    def show(self, progress: Any) -> None:
        """Take an event of progress."""
        if self.last is not None and progress.stage != self.last.stage:
            self._say(self.last)
        elif self.clock() - self.said >= EVERY:
            self._say(progress)
        self.last = progress

    def end(self) -> None:
        """Say where the last stage ended."""
        if self.last is not None:
            self._say(self.last)
            self.last = None

    def _say(self, progress: Any) -> None:
        from automtl.report.words import seconds

        self.said = self.clock()
        news = _news(progress) if progress.loss is not None or progress.rate is not None else ""
        parts = [f"{progress.stage}: {progress.step:,} of {progress.total:,}", *([news] if news else [])]
        typer.echo(f"{seconds(self.said - self.start):>6}  {', '.join(parts)}", err=True)


class Live(Display):
    """Shows the last stages, with time left, loss and AUC by task, and the best models so far; lines elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as LiveDisplay
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[news]}"),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.live = LiveDisplay(self.progress, console=console, transient=True)
        self.stages: dict[str, Any] = {}
        self.lines = None if console.is_terminal else StageLines()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.lines is not None:
            self.lines.end()

    def show(self, progress: Any) -> None:
        from rich.console import Group

        from automtl.experiment.leaderboard import Ranked

        if self.lines is not None:
            if not isinstance(progress, Ranked):
                self.lines.show(progress)
            return
        if isinstance(progress, Ranked):
            self.live.update(Group(leaderboard(progress.rows), self.progress))
            return
        if progress.stage not in self.stages:
            self.stages[progress.stage] = self.progress.add_task(progress.stage, total=progress.total, news="")
            for stage in list(self.stages)[:-STAGES]:
                self.progress.remove_task(self.stages.pop(stage))
        task = self.stages[progress.stage]
        self.progress.update(task, completed=progress.step, total=progress.total)
        if progress.loss is not None or progress.rate is not None:
            self.progress.update(task, news=_news(progress))


def leaderboard(rows: Sequence[Any], shown: int = CANDIDATES) -> Any:
    """Make the table of the best models so far: loss and metrics on validation rows, training time and shares."""
    from automtl.report.leaderboard import quality_table, share_of, task_names
    from automtl.report.words import seconds

    best = rows[:shown]
    title, header, cells = quality_table([{**row, "test": None} for row in best])
    tasks = task_names(best)
    more = [[seconds(row.get("seconds")), " ".join(share_of(row, task) or "–" for task in tasks)] for row in best]
    left = f", {len(best)} of {len(rows)} models" if len(rows) > len(best) else ""
    full = [one + two for one, two in zip(cells, more, strict=True)]
    return text_table(f"best so far, {title}{left}", [*header, "training", "share"], full)


def _news(progress: Any) -> str:
    if progress.rate is not None:
        return f"{progress.step:,} rows, {progress.rate:,.0f} a second"
    parts = [f"loss {progress.loss:.4f}", *(f"{task} {value:.4f}" for task, value in progress.auc.items())]
    return "  ".join([*parts, *([" ".join(progress.strongest)] if progress.strongest else [])])


class ComparisonLine(Display):
    """Shows a comparison's progress: one changing line on a terminal, a line for each ended trial elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.last: Any = None
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.live = Live("", console=self.console, transient=True)

    def show(self, progress: Any) -> None:
        self.last = progress
        if progress.failure is not None:
            self.console.print(f"{progress.ended}: failed, {progress.failure}", markup=False)
        if self.console.is_terminal:
            self.live.update(f"{self.text()}; now {', '.join(progress.running)}")
        elif progress.ended is not None:
            self.console.print(f"{self.text()}; {progress.ended} ended", markup=False)

    def text(self) -> str:
        """Write the number of trials done, and the time left."""
        from automtl.report.words import seconds

        if self.last is None:
            return "no trial is done"
        left = "" if self.last.seconds_left is None else f", about {seconds(self.last.seconds_left)} left"
        return f"{self.last.done} of {self.last.total} trials are done{left}"


SUSPENDED = 75  # exit code of a command that was asked to terminate and can go on: "try again later" of sysexits.h


@contextmanager
def stopping(deadline: Deadline) -> Iterator[Deadline]:
    """Let the first Ctrl-C stop a deadline in this block, a request to terminate suspend it, and the second end it."""
    import signal

    def stop(number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            deadline.stop()
            said = "stopping: the model is made of what is trained; once more ends at once"
        else:
            deadline.suspend()
            said = "stopping: the state is saved"
        if speaks():
            typer.echo(said, err=True)
        for one in before:
            signal.signal(one, before[one])

    before: dict[int, Any] = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield deadline
    finally:
        for one in before:
            signal.signal(one, before[one])


@contextmanager
def resumable(state: Callable[[], str] = lambda: "") -> Iterator[None]:
    """End the block at Ctrl-C, or where it is suspended, with a message: `state`, and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, Suspended) as ended:
        if speaks():
            typer.echo(f"stopped; {state()}the same command goes on from there", err=True)
        raise typer.Exit(SUSPENDED if isinstance(ended, Suspended) else 130) from None


@contextmanager
def comparison_progress(out: Path) -> Iterator[ComparisonLine]:
    """Show the progress of a comparison, which can be continued after Ctrl-C."""
    line = ComparisonLine()
    with resumable(lambda: f"{line.text()} in {out}: "), line:
        yield line
