"""Log lines and warnings that tell programs in Python of a fit while it runs."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from automtl.errors import DataWarning
from automtl.system.progress import Event, Notice, Progress
from automtl.tables.quality import Findings

LOGGER = logging.getLogger("automtl")
LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)  # by `verbose`


class Messages:
    """A callback that warns of findings, and logs notices and the ends of stages, at level DEBUG every step."""

    def __init__(self) -> None:
        self.last: Progress | None = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Findings):
            _warn(event)
        elif isinstance(event, Notice):
            LOGGER.info("%s", event.text)
        elif isinstance(event, Progress):
            if self.last is not None and self.last.stage != event.stage:
                LOGGER.info("%s", _line(self.last))
            LOGGER.debug("%s", _line(event))
            self.last = event

    def end(self) -> None:
        """Log where the last stage ended."""
        if self.last is not None:
            LOGGER.info("%s", _line(self.last))


def _warn(found: Findings) -> None:
    """Warn once of each doubtful column, and log the other findings."""
    for one in found.findings:
        text = f"'{one.column}' {one.evidence}; {one.remedy}"
        if one.level == "warning":
            warnings.warn(text, DataWarning, stacklevel=3)
        else:
            LOGGER.info("%s: %s", one.check, text)


def _line(progress: Progress) -> str:
    loss = "" if progress.loss is None else f", loss {progress.loss:.4g}"
    quality = "".join(f", {task} {value:.4f}" for task, value in progress.auc.items())
    return f"{progress.stage}: {progress.step:,} of {progress.total:,}{loss}{quality}"


@contextmanager
def logged(verbose: int) -> Iterator[Messages]:
    """Give a callback for the block. `verbose`: 0 leaves logging as it is, 1 and 2 also write to standard error.

    1 tells of notices and the ends of stages, 2 of every step.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    level, messages = LOGGER.level, Messages()
    if verbose:
        LOGGER.addHandler(handler)
        LOGGER.setLevel(LEVELS[min(verbose, len(LEVELS) - 1)])
    try:
        yield messages
        messages.end()
    finally:
        if verbose:
            LOGGER.removeHandler(handler)
            LOGGER.setLevel(level)
