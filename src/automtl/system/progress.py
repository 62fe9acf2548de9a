"""Reports of long computations: one callback, called with events, which are plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Event:
    """Something that is reported while a computation runs; a callback is called with events alone.

    >>> issubclass(automtl.Progress, automtl.Event)
    True
    """


@dataclass(frozen=True)
class Progress(Event):
    """A report of `step` of `total` of a `stage`: last loss, validation AUC by task, strongest candidates so far.

    rate: steps a second, where steps are rows. outer: the stage counts others, and goes on while they run.

    >>> automtl.Progress("training mmoe", step=3, total=40, loss=0.61).stage
    'training mmoe'
    """

    stage: str
    step: int
    total: int
    loss: float | None = None
    auc: dict[str, float] = field(default_factory=dict)
    strongest: tuple[str, ...] = ()
    rate: float | None = None
    outer: bool = False


@dataclass(frozen=True)
class Whole(Event):
    """A report of how far the whole of a fit is: trainings that have ended, and how many there will be, about.

    total: None where the fit goes on as long as it pays.
    """

    done: int
    total: int | None


@dataclass(frozen=True)
class Notice(Event):
    """Something that people should know of a run, in one line; it stops nothing."""

    text: str


Callback = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing: the callback of those who want no reports."""
