"""Start workers, here or on a Ray cluster: the same command in several processes, which train together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import typer

from automtl.system.address import is_address
from automtl.system.cache import cache

RESTARTS = 3  # of all workers, after one was killed
POLL = 0.1  # seconds


class Process(Protocol):
    """A worker, on this machine or another one; all is meant as by `subprocess.Popen`."""

    @property
    def returncode(self) -> int | Any: ...
    def poll(self) -> int | None: ...
    def send_signal(self, number: int, /) -> None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


Start = Callable[[], AbstractContextManager[Sequence[Process]]]  # all workers


def run_workers(count: int, address: str | None = None) -> int:
    """Run this process's command by so many workers, on the Ray cluster at an address, and return its exit code.

    Where a worker is killed, all begin anew, and go on from the last state that was saved. SIGINT and SIGTERM are
    passed on.
    """
    arguments = [*_interpreter(), "-m", "automtl", *_without(sys.argv[1:], "--workers", "--address")]
    if any(map(is_address, arguments)):
        cache()  # one for all workers
    if address is None:
        return _repeated(partial(_here, arguments, count))
    from automtl.distributed.cluster import joined

    with joined(address) as cluster:
        cluster.require(count, "--workers")
        return _repeated(partial(_there, cluster, arguments, count))


def _repeated(start: Start) -> int:
    """Run all workers until they have ended by themselves; the code of the command."""
    for restart in range(RESTARTS + 1):
        code = _run(start)
        if code >= 0 or restart == RESTARTS:
            return code if code >= 0 else 128 - code
        typer.echo(f"a worker was ended by {signal.Signals(-code).name}; all go on from the last state", err=True)
    raise AssertionError("the loop returns")


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
def _here(arguments: Sequence[str], count: int) -> Iterator[Sequence[Process]]:
    """Start workers on this machine, which share its cores."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // count, 1))}
    places = _environments(count, "127.0.0.1", str(port))
    yield [subprocess.Popen([sys.executable, *arguments], env=threads | os.environ | one) for one in places]


@contextmanager
def _there(cluster: Any, arguments: Sequence[str], count: int) -> Iterator[Sequence[Process]]:
    """Start workers on the nodes of a cluster."""
    from automtl.distributed.processes import Group

    group = Group(cluster, count)
    try:
        yield group.start(arguments, _environments(count, *group.meeting))
    finally:
        group.leave()


def _environments(count: int, address: str, port: str) -> list[dict[str, str]]:
    """Return the variables by which each of the workers finds the others."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": address, "MASTER_PORT": port}
    return [shared | {"RANK": str(place), "LOCAL_RANK": str(place)} for place in range(count)]


def _run(start: Start) -> int:
    """Run all workers to their end; the code of the first one that fails, after which the others are ended."""
    asked: list[int] = []  # signals that came, and are passed on when nothing else is done
    with start() as running, _caught(asked):
        try:
            while True:
                while asked:
                    _pass_on(running, asked.pop(0))
                codes = [one.poll() for one in running]
                failed = [code for code in codes if code not in (None, 0)]
                if failed or all(code == 0 for code in codes):
                    return _ended(running, failed)
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
