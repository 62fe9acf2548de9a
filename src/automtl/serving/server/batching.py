"""Join the requests that wait to batches, which one thread scores; a request that finds no queue is scored at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from automtl.errors import AutomtlError
from automtl.serving.server.problems import Problem, busy
from automtl.serving.server.rows import GivenRows
from automtl.serving.server.scoring import Row
from automtl.serving.server.settings import ServerSettings

Found = TypeVar("Found")
LOST_S = 1.0  # after which a batch begins without its loop, which may have been stopped
ROUNDS = 3  # of the event loop: read what has arrived, check it, and put it into the queue


@dataclass(eq=False)
class Request(Generic[Found]):
    """The rows of a request that waits, what scores them, and the future of the answer."""

    given: GivenRows
    by: Any
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Found]
    came: float = field(default_factory=time.monotonic)

    @property
    def rows(self) -> Sequence[Row]:
        """Return the rows."""
        return self.given.rows

    def joins(self, other: Request[Found]) -> bool:
        """Tell whether it may be scored together with another one."""
        return self.by is other.by and self.given.joinable and other.given.joinable


class Batcher(Generic[Found]):
    """Scores the rows of requests in one thread, several requests together where they wait.

    `score`: from what scores (`by`, the same for all of them) and the rows of some requests to an answer for each; it
    may raise. If it raises an AutomtlError for several requests, each is scored alone, so that a mistake in one request
    is told to its client only.
    """

    def __init__(
        self, score: Callable[[Any, list[Sequence[Row]]], list[Found]], settings: ServerSettings, name: str
    ) -> None:
        self._score, self.settings, self.name = score, settings, name
        self._waiting: deque[Request[Found]] = deque()
        self._changed = threading.Condition()
        self._closed, self._go, self._idle = False, False, True
        self._thread = threading.Thread(target=self._run, name=f"scoring {name}", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """The number of requests that wait."""
        return len(self._waiting)

    async def submit(self, rows: GivenRows, by: Any, timeout: float) -> Found:
        """Wait for the answer to a request. Raises Problem for a full queue or a timeout, or what scoring raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()
        request = Request(rows, by, loop, answer)
        with self._changed:
            if self._closed:
                raise busy(f"model '{self.name}' is being unloaded; try again")
            if len(self._waiting) >= self.settings.max_queue:
                raise busy(f"{len(self._waiting)} requests wait for model '{self.name}'; try again later")
            self._waiting.append(request)
            begin = self._idle
            self._idle = False
        if begin:
            self._begin(loop)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise Problem(504, f"not scored within {timeout:g} s; send fewer rows, or try again later") from None

    def _begin(self, loop: asyncio.AbstractEventLoop, rounds: int = ROUNDS) -> None:
        """Let the thread take a batch, after the loop has gone round and read the requests that have arrived."""
        if rounds and not self._closed:
            loop.call_soon(self._begin, loop, rounds - 1)
            return
        with self._changed:
            self._go = True
            self._changed.notify()

    def close(self) -> None:
        """Take no more requests, answer those that wait, and end the thread. It may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> list[Request[Found]]:
        """Wait for requests and take a batch of them; none once it is closed and all are answered."""
        batch, queue = list[Request[Found]](), False
        with self._changed:
            while not batch and (self._waiting or not self._closed):
                if self._waiting:
                    queue = True
                    self._begin_from_thread(self._waiting[-1].loop)
                else:
                    self._idle = True
                while not self._go and not self._closed:
                    if not self._changed.wait(LOST_S) and self._waiting:
                        break
                if queue and self.settings.max_wait_ms and self._waiting:
                    self._fill()
                batch, self._go = self._taken(), False
        return batch

    def _begin_from_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(self._begin, loop)
        except RuntimeError:  # the loop was closed, and nobody waits for the answer
            self._go = True

    def _fill(self) -> None:
        """Wait until a batch is full, or its first request has waited long enough."""
        end = self._waiting[0].came + self.settings.max_wait_ms / 1000
        while not self._closed and sum(len(one.rows) for one in self._waiting) < self.settings.max_batch:
            left = end - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _taken(self) -> list[Request[Found]]:
        """Take requests until the batch is full; those whose clients wait no longer are left out."""
        batch, rows = list[Request[Found]](), 0
        while self._waiting:
            request = self._waiting[0]
            if not request.answer.cancelled():
                rows += len(request.rows)
                if batch and (rows > self.settings.max_batch or not request.joins(batch[0])):
                    break
                batch.append(request)
            self._waiting.popleft()
        return batch

    def _answer(self, batch: list[Request[Found]]) -> None:
        try:
            answers = self._score(batch[0].by, [one.rows for one in batch])
        except AutomtlError as error:
            if len(batch) == 1:
                _deliver(batch[0], error)
                return
            for one in batch:
                self._answer([one])
        except Exception as error:
            for one in batch:
                _deliver(one, error)
        else:
            for one, found in zip(batch, answers, strict=True):
                _deliver(one, found)


def _deliver(request: Request[Found], found: Found | Exception) -> None:
    """Give an answer to the loop that waits for it, unless it has been closed."""

    def set_answer() -> None:
        if request.answer.done():
            return
        if isinstance(found, Exception):
            request.answer.set_exception(found)
        else:
            request.answer.set_result(found)

    with suppress(RuntimeError):
        request.loop.call_soon_threadsafe(set_answer)
