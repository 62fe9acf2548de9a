"""Start the workers of one machine: the same command in several processes, which train together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

RESTARTS = 3  # of all workers, after one was killed
POLL = 0.1  # seconds


def run_workers(count: int, option: str = "--workers") -> int:
    """Run this process's command by so many workers, and return its exit code.

    Where a worker is killed, all begin anew, and go on from the last state that was saved. SIGINT and SIGTERM are
    passed on.
    """
    command = [sys.executable, *_interpreter(), "-m", "automtl", *_without(sys.argv[1:], option)]
    for restart in range(RESTARTS + 1):
        code = _run(command, count)
        if code >= 0 or restart == RESTARTS:
            return code if code >= 0 else 128 - code
        typer.echo(f"a worker was ended by {signal.Signals(-code).name}; all go on from the last state", err=True)
    raise AssertionError("the loop returns")


def _interpreter() -> list[str]:
    """Return options of Python: the current folder is searched for modules only where it is now."""
    return [] if Path(sys.argv[0]).name == "__main__.py" else ["-P"]


def _without(arguments: Sequence[str], option: str) -> list[str]:
    """Leave an option and its value out."""
    found, skipped = [], False
    for one in arguments:
        if skipped:
            skipped = False
        elif one == option:
            skipped = True
        elif not one.startswith(f"{option}="):
            found.append(one)
    return found


def _run(command: Sequence[str], count: int) -> int:
    """Run all workers to their end; the code of the first one that fails, after which the others are ended."""
    shared = _environment(count)
    running = [subprocess.Popen(command, env=shared | {"RANK": str(n), "LOCAL_RANK": str(n)}) for n in range(count)]

    def pass_on(number: int, frame: Any) -> None:
        for one in running:
            if one.poll() is None and number != signal.SIGINT:  # a terminal sends Ctrl-C to all by itself
                one.send_signal(number)

    before: dict[int, Any] = {one: signal.signal(one, pass_on) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        while True:
            codes = [one.poll() for one in running]
            failed = [code for code in codes if code not in (None, 0)]
            if failed or all(code == 0 for code in codes):
                return _ended(running, failed)
            time.sleep(POLL)
    finally:
        for one in before:
            signal.signal(one, before[one])
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()


def _ended(running: Sequence[subprocess.Popen[bytes]], failed: Sequence[int | None]) -> int:
    """Return the code of the command. A worker that fails leaves the others waiting; those that save may end first."""
    end = time.monotonic() + 5.0
    while failed and time.monotonic() < end and any(one.poll() is None for one in running):
        time.sleep(POLL)
    codes = [one.returncode for one in running if one.returncode]
    return next((code for code in codes if code < 0), next(iter(codes), 0))


def _environment(count: int) -> dict[str, str]:
    """Return the variables by which workers find one another, and how many threads each has."""
    threads = max((os.cpu_count() or 1) // count, 1)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    own = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {"OMP_NUM_THREADS": str(threads)} | dict(os.environ) | own
