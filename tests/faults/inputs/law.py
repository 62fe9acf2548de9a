"""The law of inputs: what cannot be used is refused by an error of ours, in one line that names something, soon."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from traceback import extract_tb
from types import FrameType
from typing import IO

from automtl.errors import AutomtlError

SECONDS = 10  # of the processor, in which each input is judged
LONGEST = 2000  # characters of a message
NAMES = re.compile(r"'[^']*'|\"[^\"]+\"|--[a-z]|; [a-z]")  # what a message names: a thing in quotes, or a remedy
Try = Callable[[Random, Path], None]


class TooSlow(BaseException):
    """An input that is not judged in time."""


@dataclass(frozen=True)
class Outcome:
    """What became of an input. `kind`: accepted, refused or broken; `what`: the message, or where the error is from."""

    kind: str
    what: str = ""


def judged(attempt: Try, seed: int, folder: Path) -> Outcome:
    """Try one input, drawn by a seed."""
    with TemporaryFile() as heard:
        found = _judged(attempt, seed, folder, heard)
        heard.seek(0)
        panic = next((line for line in heard if b"panicked" in line), b"")
    return Outcome("broken", f"a panic is printed: {panic.decode(errors='replace').strip()}") if panic else found


def _judged(attempt: Try, seed: int, folder: Path, heard: IO[bytes]) -> Outcome:
    try:
        with timed(SECONDS), silently(heard):
            attempt(Random(seed), folder)
    except AutomtlError as error:
        wrong = fault_of(str(error))
        return Outcome("broken", f"{wrong}: {str(error)[:300]!r}") if wrong else Outcome("refused", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of polars is no Exception
        return Outcome("broken", origin(error))
    return Outcome("accepted")


def fault_of(message: str) -> str:
    """Tell what is wrong with a message, or nothing."""
    if not NAMES.search(message):
        return "a message that names nothing"
    if len(message) > LONGEST:
        return "a message of too many characters"
    return "" if message.isprintable() else "a message that is no printable line"


def origin(error: BaseException) -> str:
    """Tell where an error came from that is none of ours."""
    frames = extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "automtl/" in frame.filename][-1:] or frames[-1:]
    place = ", ".join(f"{frame.filename.rpartition('src/')[2]}:{frame.lineno}" for frame in ours)
    return f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:150]}"


@contextlib.contextmanager
def timed(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block if it lasts too long."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def silently(heard: IO[bytes]) -> Iterator[None]:
    """Keep warnings and what is printed to ourselves; `heard` gets what other languages print as errors."""
    before = os.dup(2)
    os.dup2(heard.fileno(), 2)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(before, 2)
        os.close(before)
