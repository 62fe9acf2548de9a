"""Worker processes that run trials side by side. A killed process loses only its own trial; none outlives ours."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

THREADS = "OMP_NUM_THREADS"
ATTEMPTS = 2  # a trial whose process is killed is tried once more
Trial = TypeVar("Trial")


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result."""

    message: str


class ProcessPool(Generic[Trial]):
    """A number of processes that run one trial each at a time, until closed. `running`: the trials being run.

    `start(*arguments)` is called once in each process, then `work(trial)`, which returns None or a Failure and must
    not raise. Every process has an executor of its own: those of concurrent.futures and loky end all their processes
    when one of them is killed. The processes share the cores, unless the environment sets their threads.
    """

    def __init__(
        self, count: int, work: Callable[[Trial], Failure | None], start: Callable[..., None], *arguments: Any
    ) -> None:
        context = multiprocessing.get_context("spawn")
        # Every process waits for the end of this pipe: it comes when we close it, and when we die, in whatever way.
        self.lifeline, self.held = context.Pipe(duplex=False)
        self.executor = partial(
            ProcessPoolExecutor, 1, context, initializer=_start, initargs=(self.lifeline, start, arguments)
        )
        self.work, self.count = work, count
        self.idle = [self.executor() for _ in range(count)]
        self.free = asyncio.Semaphore(count)
        self.running: list[Trial] = []
        self.threads_before = os.environ.get(THREADS)
        # read by the libraries of a new process when they are loaded
        os.environ.setdefault(THREADS, str(max((os.cpu_count() or 1) // count, 1)))

    async def run(self, trial: Trial, started: Callable[[], None] = lambda: None) -> Failure | None:
        """Run a trial in the next free process, first come, first served; `started` is called when it begins.

        If its process is killed, the trial waits in line once more, since memory may be free by then.
        """
        for _ in range(ATTEMPTS):
            async with self.free:
                executor = self.idle.pop()
                self.running.append(trial)
                try:
                    started()
                    return await asyncio.wrap_future(executor.submit(self.work, trial))
                except BrokenProcessPool:
                    if self.held.closed:
                        raise
                    executor.shutdown(wait=False)
                    executor = self.executor()
                finally:
                    self.running.remove(trial)
                    self.idle.append(executor)
        return Failure("its process was killed, as by a system out of memory; try fewer --jobs")

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        self.held.close()
        for executor in self.idle:
            executor.shutdown(wait=False, cancel_futures=True)
        self.lifeline.close()
        if self.threads_before is None:
            os.environ.pop(THREADS, None)


def _start(lifeline: Connection, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; ours decides
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    start(*arguments)


def _die_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)
