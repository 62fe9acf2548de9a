"""What a long computation tells while it runs. Plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """`step` of `total` of a `stage`; the last loss, validation AUC by task, strongest candidates so far."""

    stage: str
    step: int
    total: int
    loss: float | None = None
    auc: dict[str, float] = field(default_factory=dict)
    strongest: tuple[str, ...] = ()


Listener = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """A listener that does nothing."""
