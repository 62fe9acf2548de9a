"""Where the time of a long computation goes: every second is that of one stage, so that stages add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REST = "rest"


class Stopwatch:
    """Counts the seconds of stages. What runs in no stage is `REST`; an inner stage stops the clock of the outer one.

    >>> now = iter([0.0, 1.0, 3.0, 4.0, 6.0, 6.5])
    >>> watch = Stopwatch(lambda: next(now))
    >>> with watch.stage("training"):
    ...     with watch.stage("selection"):
    ...         pass
    >>> watch.seconds()
    {'rest': 1.5, 'training': 4.0, 'selection': 1.0}
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.counted = clock, {REST: 0.0}
        self._running, self._last = [REST], clock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the seconds of the block for a stage."""
        self._lap()
        self._running.append(name)
        try:
            yield
        finally:
            self._lap()
            self._running.pop()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage until now."""
        self._lap()
        return dict(self.counted)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds that another process has spent."""
        self.counted[name] = self.counted.get(name, 0.0) + seconds

    def _lap(self) -> None:
        now, stage = self.clock(), self._running[-1]
        self.counted[stage] = self.counted.get(stage, 0.0) + now - self._last
        self._last = now


_current: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def measured() -> Iterator[Stopwatch]:
    """Count the seconds of the block; `timed` counts for the stopwatch that this gives."""
    watch = Stopwatch()
    token = _current.set(watch)
    try:
        yield watch
    finally:
        _current.reset(token)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Count the seconds of the block for a stage of the present stopwatch, if there is one."""
    watch = _current.get()
    if watch is None:
        yield
    else:
        with watch.stage(name):
            yield


def current_stopwatch() -> Stopwatch | None:
    """Return the stopwatch of the block that this work is in, if there is one."""
    return _current.get()
