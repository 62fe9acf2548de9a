"""Start workers, here or on a Ray cluster: the same command in several processes, which train together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import typer

from automtl.errors import SettingsError
from automtl.system.address import is_address
from automtl.system.cache import cache
from automtl.system.children import ends_with_parent

FAILURES = 3  # in a row with the same number of workers, after which there are fewer, or it ends
COUNT = re.compile(r"(?P<least>\d{1,6})(:(?P<most>\d{1,6}))?")
POLL = 0.1  # seconds


class Process(Protocol):
    """A worker, on this machine or another one; all is meant as by `subprocess.Popen`."""

    @property
    def returncode(self) -> int | Any: ...
    def poll(self) -> int | None: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


@dataclass(frozen=True)
class WorkerCount:
    """How many workers a command has: `most` of them, and fewer, at least `least`, where that cannot be."""

    least: int
    most: int

    @staticmethod
    def read(text: str) -> WorkerCount:
        """Read N, or LEAST:MOST. Raises SettingsError."""
        found = COUNT.fullmatch(text.strip())
        least, most = (int(found["least"]), int(found["most"] or found["least"])) if found else (0, 0)
        if not 1 <= least <= most:
            raise SettingsError(
                f"--workers '{text}' is no number of workers above 0; give one such as 4, or the least and the most "
                "of them, such as 2:4"
            )
        return WorkerCount(least, most)


# Starts all workers: how many, and how many there were before, if some were lost.
Start = Callable[[WorkerCount, int], AbstractContextManager[Sequence[Process]]]


def run_workers(count: WorkerCount, address: str | None = None) -> int:
    """Run this process's command by so many workers, on the Ray cluster at an address, and return its exit code.

    Where a worker is killed, all begin anew, and go on from the last state that was saved. SIGINT and SIGTERM are
    passed on.
    """
    arguments = [*_interpreter(), "-m", "automtl", *_without(sys.argv[1:], "--workers", "--address")]
    if any(map(is_address, arguments)):
        cache()  # one for all workers
    if address is None:
        return _repeated(partial(_here, arguments), count)
    from automtl.distributed.cluster import joined

    with joined(address) as cluster:
        cluster.require(count.least, "--workers")
        return _repeated(partial(_there, cluster, arguments), count)


def _repeated(start: Start, count: WorkerCount) -> int:
    """Run all workers until they have ended by themselves; the code of the command.

    The same number is tried three times where it may be fewer, and then one fewer; the least is tried once more.
    """
    before, failures = 0, 0
    while True:
        code, number = _run(partial(start, count, before))
        if code >= 0:
            return code
        failures = failures + 1 if number == before else 1
        before = number
        if failures >= FAILURES and number > count.least:
            count, before = WorkerCount(count.least, number - 1), number - 1
        elif failures > FAILURES:
            return 128 - code
        fewer = "" if before == number else f", now by {before} in place of {number}"
        typer.echo(
            f"a worker was ended by {signal.Signals(-code).name}; all go on from the last state{fewer}", err=True
        )
        failures = 0 if fewer else failures


def _interpreter() -> list[str]:
    """Return options of Python: the current folder is searched for modules only where it is now."""
    return [] if Path(sys.argv[0]).name == "__main__.py" else ["-P"]


def _without(arguments: Sequence[str], *options: str) -> list[str]:
    """Leave options and their values out."""
    found, skipped = [], False
    for one in arguments:
        if skipped:
            skipped = False
        elif one in options:
            skipped = True
        elif one.partition("=")[0] not in options:
            found.append(one)
    return found


@contextmanager
def _here(arguments: Sequence[str], wanted: WorkerCount, before: int) -> Iterator[Sequence[Process]]:
    """Start workers on this machine, which share its cores, and end with this process."""
    count = wanted.most
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // count, 1))}
    places = _environments(count, "127.0.0.1", str(port))
    yield [
        subprocess.Popen([sys.executable, *arguments], env=threads | os.environ | one, preexec_fn=ends_with_parent())
        for one in places
    ]


@contextmanager
def _there(cluster: Any, arguments: Sequence[str], wanted: WorkerCount, before: int) -> Iterator[Sequence[Process]]:
    """Start workers on the nodes of a cluster, as many as there is room for."""
    from automtl.distributed.processes import find_room

    group = find_room(cluster, wanted.least, wanted.most, before)
    if group.count < wanted.most:
        typer.echo(f"there is room for {group.count} of {wanted.most} workers", err=True)
    try:
        yield group.start(arguments, _environments(group.count, *group.meeting))
    finally:
        group.leave()


def _environments(count: int, address: str, port: str) -> list[dict[str, str]]:
    """Return the variables by which each of the workers finds the others."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": address, "MASTER_PORT": port}
    return [shared | {"RANK": str(place), "LOCAL_RANK": str(place)} for place in range(count)]


def _run(start: Callable[[], AbstractContextManager[Sequence[Process]]]) -> tuple[int, int]:
    """Run all workers to their end, and return a code and how many there were.

    The code is that of the first one that fails, after which the others are ended.
    """
    asked: list[int] = []  # signals that came, and are passed on when nothing else is done
    with start() as running, _caught(asked):
        try:
            while True:
                while asked:
                    _pass_on(running, asked.pop(0))
                codes = [one.poll() for one in running]
                failed = [code for code in codes if code not in (None, 0)]
                if failed or all(code == 0 for code in codes):
                    return _ended(running, failed), len(running)
                time.sleep(POLL)
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                process.wait()


@contextmanager
def _caught(asked: list[int]) -> Iterator[None]:
    """Note the requests to end that come in the block."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {one: signal.signal(one, lambda number, frame: asked.append(number)) for one in numbers}
    try:
        yield
    finally:
        for one in before:
            signal.signal(one, before[one])


def _pass_on(running: Sequence[Process], number: int) -> None:
    """Pass a signal on to workers; a terminal sends Ctrl-C to those of this machine by itself."""
    for one in running:
        if one.poll() is None and not (number == signal.SIGINT and isinstance(one, subprocess.Popen)):
            one.send_signal(number)


def _ended(running: Sequence[Process], failed: Sequence[int | None]) -> int:
    """Return the code of the command. A worker that fails leaves the others waiting; those that save may end first."""
    end = time.monotonic() + 5.0
    while failed and time.monotonic() < end and any(one.poll() is None for one in running):
        time.sleep(POLL)
    codes = [one.returncode for one in running if one.returncode]
    return next((code for code in codes if code < 0), next(iter(codes), 0))
