"""Processes that work on jobs side by side. A job that kills its process is lost alone; no process outlives ours."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

THREADS = "OMP_NUM_THREADS"
Job = TypeVar("Job")


@dataclass(frozen=True)
class Failure:
    """Why a job has no result. `killed`: its process ended without a word, so that another try may do better."""

    message: str
    killed: bool = False


class Workers(Generic[Job]):
    """`count` processes, one job each at a time.

    `prepare(*arguments)` is called once in each process, then `work(job)`, which returns nothing or a Failure and must
    not raise.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[Job], Failure | None],
        prepare: Callable[..., None],
        arguments: tuple[Any, ...],
    ) -> None:
        self.work, self.prepare, self.arguments = work, prepare, arguments
        self.context = multiprocessing.get_context("spawn")
        # Every process waits for the end of this pipe: it comes when we close it, and when we die, in whatever way.
        self.lifeline, self.held = self.context.Pipe(duplex=False)
        self.idle = [self._process() for _ in range(count)]
        self.running: dict[Future[Failure | None], tuple[Job, ProcessPoolExecutor]] = {}

    def start(self, job: Job) -> None:
        """Give a job to an idle process."""
        process = self.idle.pop()
        self.running[process.submit(self.work, job)] = job, process

    def finished(self, timeout: float | None = None) -> list[tuple[Job, Failure | None]]:
        """Jobs that ended, after waiting for at least one, or for `timeout` seconds."""
        done, _ = wait(self.running, timeout, FIRST_COMPLETED)
        return [self._outcome(future) for future in done]

    def _outcome(self, future: Future[Failure | None]) -> tuple[Job, Failure | None]:
        job, process = self.running.pop(future)
        try:
            found = future.result()
        except BrokenProcessPool:
            process.shutdown(wait=False)
            process = self._process()
            found = Failure("its process was killed, as by a system out of memory; try fewer --jobs", killed=True)
        self.idle.append(process)
        return job, found

    def _process(self) -> ProcessPoolExecutor:
        """An executor of one process, so that a process that dies breaks no other job."""
        arguments = (self.lifeline, self.prepare, self.arguments)
        return ProcessPoolExecutor(1, self.context, initializer=_begin, initargs=arguments)

    def close(self) -> None:
        """End all processes, whatever they do."""
        self.held.close()
        for process in [*self.idle, *(process for _, process in self.running.values())]:
            process.shutdown(wait=False, cancel_futures=True)
        self.lifeline.close()


@contextmanager
def working(
    count: int,
    threads: int,
    work: Callable[[Job], Failure | None],
    prepare: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[Workers[Job]]:
    """Workers for the block; each process uses `threads` threads, unless the environment says otherwise."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = before or str(threads)  # read by the libraries of a new process when they are loaded
    workers = Workers(count, work, prepare, arguments)
    try:
        yield workers
    finally:
        workers.close()
        if before is None:
            del os.environ[THREADS]


def _begin(lifeline: Connection, prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; ours decides
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    prepare(*arguments)


def _die_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)
