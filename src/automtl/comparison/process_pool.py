"""Worker processes that run trials side by side. A killed process loses only its own trial; none outlives ours.

A process shows that it is alive by what it gets done, not by the clock: `alive` counts, and one whose count stands
still for too long is ended.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from automtl.tables.durations import duration_text

THREADS = "OMP_NUM_THREADS"
ATTEMPTS = 2  # a trial whose process is killed is tried once more
HANG_AFTER = 3600.0  # seconds without progress after which a process is ended
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which Windows lacks
LOOKS = 20  # at a process in this time
Trial = TypeVar("Trial")


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result."""

    message: str


_signs: Any = None  # of this process, if it is one of a pool: its number, and how much was done


def alive() -> None:
    """Count a piece of work of this process, if it is one of a pool."""
    if _signs is not None:
        _signs[1] += 1


class Watch:
    """Tells whether something hangs whose count has not changed for `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.count, self.since = -1, clock()

    def hangs(self, count: int) -> bool:
        """Look at the count."""
        if count != self.count:
            self.count, self.since = count, self.clock()
        return self.clock() - self.since >= self.seconds


class Worker(Generic[Trial]):
    """A process with an executor of its own. `hung`: it was ended since it did nothing for so many seconds."""

    def __init__(self, context: Any, hang_after: float, lifeline: Connection, start: Any, arguments: Any) -> None:
        self.hang_after, self.hung = hang_after, False
        self.signs = context.RawArray(ctypes.c_uint64, 2)
        given = (lifeline, self.signs, start, arguments)
        self.executor = ProcessPoolExecutor(1, context, initializer=_start, initargs=given)

    async def run(self, work: Callable[[Trial], Failure | None], trial: Trial) -> Failure | None:
        """Run a trial. Raises BrokenProcessPool where the process is killed, by us if it hangs."""
        future, watch = asyncio.wrap_future(self.executor.submit(work, trial)), Watch(self.hang_after)
        try:
            while not (await asyncio.wait({future}, timeout=self.hang_after / LOOKS))[0]:
                if watch.hangs(self.signs[1]) and self.signs[0]:
                    self.hung = True
                    with suppress(ProcessLookupError):
                        os.kill(self.signs[0], KILL)
            return future.result()
        finally:
            future.cancel()


class ProcessPool(Generic[Trial]):
    """A number of processes that run one trial each at a time, until closed. `running`: the trials being run.

    `start(*arguments)` is called once in each process, then `work(trial)`, which returns None or a Failure and must
    not raise. Every process has an executor of its own: those of concurrent.futures and loky end all their processes
    when one of them is killed. The processes share the cores, unless the environment sets their threads. A trial that
    does not call `alive` for `hang_after` seconds is ended.
    """

    def __init__(
        self, count: int, work: Callable[[Trial], Failure | None], start: Callable[..., None], *arguments: Any,
        hang_after: float = HANG_AFTER,
    ) -> None:  # fmt: skip
        context = multiprocessing.get_context("spawn")
        # Every process waits for the end of this pipe: it comes when we close it, and when we die, in whatever way.
        self.lifeline, self.held = context.Pipe(duplex=False)
        self.worker = partial(Worker[Trial], context, hang_after, self.lifeline, start, arguments)
        self.work, self.count = work, count
        self.idle = [self.worker() for _ in range(count)]
        self.free = asyncio.Semaphore(count)
        self.running: list[Trial] = []
        self.threads_before = os.environ.get(THREADS)
        # read by the libraries of a new process when they are loaded
        os.environ.setdefault(THREADS, str(max((os.cpu_count() or 1) // count, 1)))

    async def run(self, trial: Trial, started: Callable[[], None] = lambda: None) -> Failure | None:
        """Run a trial in the next free process, first come, first served; `started` is called when it begins.

        If its process is killed, the trial waits in line once more, since memory may be free by then. One that hangs is
        not tried again.
        """
        for _ in range(ATTEMPTS):
            async with self.free:
                worker = self.idle.pop()
                self.running.append(trial)
                try:
                    started()
                    return await worker.run(self.work, trial)
                except BrokenProcessPool:
                    if self.held.closed:
                        raise
                    worker.executor.shutdown(wait=False)
                    ended, worker = worker, self.worker()
                    if ended.hung:
                        return Failure(
                            f"it did nothing for {duration_text(ended.hang_after)}, so that its process was ended; "
                            "give the command again, with a longer --hang-after if single steps take that long"
                        )
                finally:
                    self.running.remove(trial)
                    self.idle.append(worker)
        return Failure("its process was killed, as by a system out of memory; try fewer --jobs")

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        self.held.close()
        for worker in self.idle:
            worker.executor.shutdown(wait=False, cancel_futures=True)
        self.lifeline.close()
        if self.threads_before is None:
            os.environ.pop(THREADS, None)


def _start(lifeline: Connection, signs: Any, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    global _signs
    _signs = signs
    signs[0] = os.getpid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; ours decides
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    start(*arguments)


def _die_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)
