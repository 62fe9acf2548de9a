"""What a long computation reports while it runs: one callback, called with events. Plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Event:
    """Something that is reported on the way; the base of all that a callback is called with.

    >>> issubclass(automtl.Progress, automtl.Event)
    True
    """


@dataclass(frozen=True)
class Progress(Event):
    """`step` of `total` of a `stage`; the last loss, validation AUC by task, strongest candidates so far.

    >>> automtl.Progress("training mmoe", step=3, total=40, loss=0.61).stage
    'training mmoe'
    """

    stage: str
    step: int
    total: int
    loss: float | None = None
    auc: dict[str, float] = field(default_factory=dict)
    strongest: tuple[str, ...] = ()


Callback = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A callback that does nothing."""
