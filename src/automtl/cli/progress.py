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
from automtl.cli.verbosity import NORMAL, QUIET, VERBOSE, verbosity
from automtl.system.deadline import Suspended
from automtl.system.workers import speaks

STAGES = 4  # the last ones, which are shown
EVERY = 60.0  # seconds after which a long stage says again how far it is, where nothing can be drawn
CANDIDATES = 8  # the best ones, which are shown
WIDE, WIDEST = 110, 1000  # columns of a terminal that has room, and of one without end
BAR, TIME = 36, 9  # columns of a bar, and of the time left of a stage

if TYPE_CHECKING:
    from automtl.system.deadline import Deadline


class Display(ABC):
    """Shows findings and notices as lines, and progress as subclasses say. `live`: what rich updates on a terminal."""

    live: Any

    def __enter__(self) -> Any:
        if self.live.console.is_terminal and verbosity() == NORMAL:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def callback(self, event: Any) -> None:
        """Show one event. With --quiet only warnings of the data are left."""
        from automtl.system.progress import Notice
        from automtl.tables.quality import Findings

        if isinstance(event, Findings):
            show_findings(event.findings, quiet=verbosity() == QUIET)
        elif verbosity() == QUIET:
            return
        elif isinstance(event, Notice):
            typer.echo(event.text, err=True)
        else:
            self.show(event)

    @abstractmethod
    def show(self, progress: Any) -> None:
        """Show one event of progress."""


class TimeLeft:
    """Estimates how long a fit will still take, as if all its trainings took as long as those that have ended.

    `limit`: the seconds after which it ends anyhow.
    """

    def __init__(self, limit: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.clock, self.start = limit, clock, clock()
        self.whole: Any = None
        self.counted = self.start

    def take(self, whole: Any) -> None:
        """Take an event that says how many trainings have ended."""
        self.whole, self.counted = whole, self.clock()

    @property
    def seconds(self) -> float | None:
        """The seconds left; None as long as nothing is known of them."""
        now, found = self.clock(), list[float]()
        if self.limit is not None:
            found.append(self.start + self.limit - now)
        if self.whole is not None and self.whole.total is not None:
            each = (self.counted - self.start) / self.whole.done
            found.append(self.counted + each * (self.whole.total - self.whole.done) - now)
        return max(min(found), 0.0) if found else None

    def text(self) -> str:
        """Say how many trainings have ended and how long the rest will take, or nothing before the first one."""
        from automtl.report.words import seconds

        if self.whole is None:
            return ""
        of = "" if self.whole.total is None else f" of {self.whole.total}"
        left = "" if self.seconds is None else f", about {seconds(self.seconds)} left"
        return f"{self.whole.done}{of} trainings{left}"


class StageLines:
    """Says in lines how far a run is, for logs and pipes: where a stage has ended, and every minute of a long one.

    `every`: says every event that has news, as --verbose wants.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, every: bool = False) -> None:
        self.clock, self.start, self.every = clock, clock(), every
        self.said, self.left = self.start, TimeLeft(clock=clock)
        self.last: Any = None

    def show(self, progress: Any) -> None:
        """Take an event of progress."""
        if self.last is not None and progress.stage != self.last.stage:
            self._say(self.last, ended=True)
        elif self.clock() - self.said >= EVERY or (self.every and progress.loss is not None):
            self._say(progress)
        self.last = progress

    def end(self) -> None:
        """Say where the last stage ended."""
        if self.last is not None:
            self._say(self.last, ended=True)
            self.last = None

    def _say(self, progress: Any, *, ended: bool = False) -> None:
        from automtl.report.words import seconds

        self.said = self.clock()
        news = _news(progress) if progress.loss is not None or progress.rate is not None else ""
        early = "stopped at " if ended and progress.step < progress.total and not progress.outer else ""
        parts = [f"{progress.stage}: {early}{progress.step:,} of {progress.total:,}", *([news] if news else [])]
        whole = f"; {self.left.text()}" if self.left.text() else ""
        typer.echo(f"{seconds(self.said - self.start):>6}  {', '.join(parts)}{whole}", err=True)


class Live(Display):
    """Shows the best models so far, the last stages with loss and AUC by task, and how long the whole will still take.

    Lines elsewhere than on a terminal. `limit`: the seconds after which the work ends anyhow.
    """

    def __init__(self, limit: float | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as LiveDisplay
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        wide = console.width >= WIDE
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(BAR if wide else BAR // 3), TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[news]}"), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.stages: dict[str, Any] = {}
        self.rows, self.outer = 0, False
        self.width, self.left, self.ranked = console.width, TimeLeft(limit), list[Any]()
        self.live = LiveDisplay(get_renderable=self.render, console=console, transient=True)
        lines = not console.is_terminal or verbosity() == VERBOSE
        self.lines = StageLines(every=verbosity() == VERBOSE) if lines else None

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.lines is not None:
            self.lines.end()

    def render(self) -> Any:
        """Make what stands on the terminal: the best models, the stages, and a line about the whole."""
        from rich.console import Group
        from rich.text import Text

        parts = [leaderboard(self.ranked, self.width)] if self.ranked else []
        whole = self.left.text()
        return Group(*parts, self.progress, *([Text(f"the whole: {whole}", no_wrap=True)] if whole else []))

    def kept(self) -> str:
        """Say what stays if the work ends now: how many models are trained, or rows scored."""
        if self.rows:
            return f"{self.rows:,} rows are scored; "
        count = len(self.ranked)
        return f"{count} trained {'model is' if count == 1 else 'models are'} kept; " if count else ""

    def show(self, progress: Any) -> None:
        from automtl.experiment.leaderboard import Ranked
        from automtl.system.progress import Whole

        self.rows = progress.step if getattr(progress, "rate", None) is not None else self.rows
        if isinstance(progress, Ranked):
            self.ranked = list(progress.rows)
        elif isinstance(progress, Whole):
            self.left.take(progress)
            if self.lines is not None:
                self.lines.left.take(progress)
        elif self.lines is not None:
            self.lines.show(progress)
        else:
            self._bar(progress)

    def _bar(self, progress: Any) -> None:
        """Move the bar of a stage; the bar of the stage before is full, and says so where that ended early."""
        width = self.width
        if progress.stage not in self.stages:
            self._end_last()
            self.outer = progress.outer
            name = _shorter(progress.stage, width // 3)
            self.stages[progress.stage] = self.progress.add_task(name, total=progress.total, news="")
            for stage in list(self.stages)[:-STAGES]:
                self.progress.remove_task(self.stages.pop(stage))
        task = self.stages[progress.stage]
        self.progress.update(task, completed=progress.step, total=progress.total)
        if progress.loss is not None or progress.rate is not None:
            bar = BAR if width >= WIDE else BAR // 3
            self.progress.update(task, news=_news(progress, width - width // 3 - bar - TIME))

    def _end_last(self) -> None:
        if self.stages and not self.outer:
            last = self.progress.tasks[-1]
            if last.total is not None and last.completed < last.total:
                news = f"stopped early  {last.fields['news']}".rstrip()
                self.progress.update(last.id, total=max(last.completed, 1), completed=max(last.completed, 1), news=news)


def leaderboard(rows: Sequence[Any], width: int = WIDEST, shown: int = CANDIDATES) -> Any:
    """Make the table of the best models so far: loss and metrics on validation rows, training time and shares.

    Where the width does not suffice, it has no shares, then no times, then no losses.
    """
    from rich.console import Console

    from automtl.report.leaderboard import quality_table, share_of, task_names
    from automtl.report.words import seconds

    best = rows[:shown]
    title, header, cells = quality_table([{**row, "test": None} for row in best])
    tasks = task_names(best)
    shares = [" ".join(share_of(row, task) or "–" for task in tasks) for row in best]
    left = f", {len(best)} of {len(rows)} models" if len(rows) > len(best) else ""
    columns = dict(zip(header, zip(*cells, strict=True), strict=True))
    columns |= {"training": tuple(seconds(row.get("seconds")) for row in best), "share": tuple(shares)}
    console = Console(width=WIDEST)
    for dropped in ("", "share", "training", "loss"):
        columns.pop(dropped, None)
        names = [_shorter(name, width // 3) for name in columns[header[0]]]
        body = zip(names, *(cells for name, cells in columns.items() if name != header[0]), strict=True)
        table = text_table(f"best so far, {title}{left}", list(columns), [list(line) for line in body])
        if console.measure(table).maximum <= width:
            break
    return table


def _shorter(text: str, room: int) -> str:
    from automtl.report.words import shorten

    return shorten(text, room)


def _news(progress: Any, room: int = WIDEST) -> str:
    """Write loss and AUC by task, or their mean where there is no room for all."""
    if progress.rate is not None:
        return f"{progress.step:,} rows, {progress.rate:,.0f} a second"
    loss = f"loss {progress.loss:.4f}"
    found = "  ".join([loss, *(f"{task} {value:.4f}" for task, value in progress.auc.items())])
    if len(found) > room and progress.auc:
        found = f"{loss}  mean AUC {sum(progress.auc.values()) / len(progress.auc):.4f}"
    strongest = " ".join(progress.strongest)
    return f"{found}  {strongest}" if strongest and len(found) + 2 + len(strongest) <= room else found


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
        if self.console.is_terminal and verbosity() == NORMAL:
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
def stopping(deadline: Deadline, kept: Callable[[], str] = lambda: "") -> Iterator[Deadline]:
    """Let the first Ctrl-C stop a deadline in this block, a request to terminate suspend it, and the second end it.

    `kept`: says what there is already.
    """
    import signal

    def stop(number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            deadline.stop()
            said = f"stopping: {kept()}the model is made of what is trained; once more ends at once"
        else:
            deadline.suspend()
            said = f"stopping: {kept()}the state is saved"
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
    """End the block at Ctrl-C, a request to terminate, or where it is suspended, with a message how to go on.

    `state`: says what there is already.
    """
    import signal

    terminated = False

    def terminate(number: int, frame: Any) -> None:
        """End as Ctrl-C does, also where that is ignored, as in the background of a shell."""
        nonlocal terminated
        terminated = True
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except (KeyboardInterrupt, Suspended) as ended:
        if speaks():
            typer.echo(f"stopped; {state()}the same command goes on from there", err=True)
        code = SUSPENDED if terminated or isinstance(ended, Suspended) else 130
        raise typer.Exit(code) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def comparison_progress(out: Path) -> Iterator[ComparisonLine]:
    """Show the progress of a comparison, which can be continued after Ctrl-C."""
    line = ComparisonLine()
    with resumable(lambda: f"{line.text()} in {out}: "), line:
        yield line
