"""The moment at which long work ends with what it has: a limit of time, or a request such as Ctrl-C."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Suspended(BaseException):
    """Ends a computation that was asked to end once its state is saved; no error, as KeyboardInterrupt is none."""


def _nobody() -> None:
    """Tell nobody."""


class Deadline:
    """Passes after `seconds` (None: never), or when `stop` is called, from a signal handler, too.

    `looked_at` is called whenever work looks at it, or at a part of it: after each batch, each tree; so it is alive.
    """

    def __init__(
        self, seconds: float | None = None, of: Deadline | None = None, looked_at: Callable[[], None] = _nobody
    ) -> None:
        self.start = time.monotonic()
        self.end = math.inf if seconds is None else self.start + seconds
        self.of, self.looked_at, self._stopped, self._suspended = of, looked_at, False, False

    def stop(self) -> None:
        """Let the deadline pass now."""
        self._stopped = True

    def spend(self, seconds: float) -> None:
        """Let the deadline pass so much earlier, as for work that was done before."""
        self.end -= seconds

    def reserve(self, share: float) -> None:
        """Let the deadline pass as much earlier as work took so far, at most a share of its seconds.

        So time is kept for what comes after it and grows with the table, too: scores of the test rows and reports.
        """
        if not math.isinf(self.end):
            self.end -= max(min(time.monotonic() - self.start, share * (self.end - self.start)), 0.0)

    def suspend(self) -> None:
        """Ask that the work end as soon as its state is saved, so that it can go on later."""
        self._suspended = True

    @property
    def suspended(self) -> bool:
        """Tell whether the work should save its state and end."""
        return self._suspended

    @property
    def stopped(self) -> bool:
        """Tell whether it was asked to stop, or the deadline that it is a part of."""
        self.looked_at()
        return self._stopped or (self.of is not None and self.of.stopped)

    def part(self, share: float) -> Deadline:
        """Return a deadline after a share of the seconds that are left; it stops when this one does."""
        return Deadline(None if math.isinf(self.end) else share * self.seconds_left, self)

    @property
    def passed(self) -> bool:
        """Tell whether work should end."""
        return self.stopped or time.monotonic() >= self.end

    @property
    def seconds_left(self) -> float:
        """The seconds until it passes; infinite where there is no limit."""
        return 0.0 if self.stopped else max(self.end - time.monotonic(), 0.0)


NO_DEADLINE = Deadline()
_current: ContextVar[Deadline] = ContextVar("deadline", default=NO_DEADLINE)


@contextmanager
def ending(deadline: Deadline) -> Iterator[Deadline]:
    """Let the work inside the block look at this deadline: trainings, searches and boosted trees."""
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)


def current_deadline() -> Deadline:
    """Return the deadline of the block that this work is in; one that never passes outside of such blocks."""
    return _current.get()
