"""How much a command tells besides its results: --quiet and --verbose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

QUIET, NORMAL, VERBOSE = 0, 1, 2
_verbosity: ContextVar[int] = ContextVar("verbosity", default=NORMAL)


def verbosity() -> int:
    """Return how much the present command tells."""
    return _verbosity.get()


@contextmanager
def quietly(given: bool) -> Iterator[None]:
    """Tell results, warnings and errors alone in this block, if asked to."""
    with _telling(QUIET if given else verbosity()):
        yield


@contextmanager
def verbosely(given: bool) -> Iterator[None]:
    """Tell every evaluation in a line of its own in this block, and all findings, if asked to."""
    with _telling(VERBOSE if given else verbosity()):
        yield


@contextmanager
def _telling(how_much: int) -> Iterator[None]:
    token = _verbosity.set(how_much)
    try:
        yield
    finally:
        _verbosity.reset(token)
