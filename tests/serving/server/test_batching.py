"""Requests that wait are scored together, within limits, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from automtl.errors import EncodingError
from automtl.serving.server.batching import Batcher
from automtl.serving.server.problems import Problem
from automtl.serving.server.rows import GivenRows
from automtl.serving.server.scoring import Row
from automtl.serving.server.settings import ServerSettings


class Doubling:
    """Answers each request with its doubled numbers; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches = list[list[int]]()
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, by: Any, requests: list[Sequence[Row]]) -> list[list[int]]:
        self.batches.append([len(rows) for rows in requests])
        self.begun.set()
        assert self.go.wait(30)
        if any(row["x"] < 0 for rows in requests for row in rows):
            raise EncodingError("below zero")
        return [[2 * row["x"] for row in rows] for rows in requests]


@contextmanager
def batcher(**settings: Any) -> Iterator[tuple[Batcher[list[int]], Doubling]]:
    doubling = Doubling()
    made = Batcher(doubling, ServerSettings(**settings), "one")
    try:
        yield made, doubling
    finally:
        doubling.go.set()
        made.close()


def given(*numbers: int, joinable: bool = True) -> GivenRows:
    return GivenRows([{"x": one} for one in numbers], joinable)


async def after_the_first(
    made: Batcher[list[int]], doubling: Doubling, others: Sequence[Coroutine[Any, Any, Any]]
) -> list[Any]:
    """Let requests come while the first one is being scored; returns all answers, exceptions included."""
    first = asyncio.create_task(made.submit(given(1), None, 30))
    await asyncio.to_thread(doubling.begun.wait, 30)
    waiting = [asyncio.create_task(one) for one in others]
    await asyncio.sleep(0)
    doubling.go.set()
    return await asyncio.gather(first, *waiting, return_exceptions=True)


def test_what_waits_is_scored_together_up_to_the_largest_batch() -> None:
    with batcher(max_batch=4) as (made, doubling):
        others = [made.submit(given(*range(size)), None, 30) for size in (1, 2, 1, 3, 9)]
        found = asyncio.run(after_the_first(made, doubling, others))
    assert found == [[2], [0], [0, 2], [0], [0, 2, 4], [2 * x for x in range(9)]]
    assert doubling.batches == [[1], [1, 2, 1], [3], [9]]


def test_only_rows_of_the_same_model_and_of_usual_types_are_joined() -> None:
    old, new = object(), object()
    with batcher() as (made, doubling):
        others = [
            made.submit(given(1), old, 30), made.submit(given(2), old, 30), made.submit(given(3), new, 30),
            made.submit(given(4, joinable=False), new, 30), made.submit(given(5), new, 30),
        ]  # fmt: skip
        asyncio.run(after_the_first(made, doubling, others))
    assert doubling.batches == [[1], [1, 1], [1], [1], [1]]


def test_a_mistake_is_told_to_its_client_only() -> None:
    with batcher() as (made, doubling):
        others = [made.submit(given(x), None, 30) for x in (5, -1, 6)]
        found = asyncio.run(after_the_first(made, doubling, others))
    assert isinstance(found[2], EncodingError)
    assert [found[place] for place in (0, 1, 3)] == [[2], [10], [12]]


def test_a_full_queue_refuses_with_the_time_to_wait() -> None:
    with batcher(max_queue=2) as (made, doubling):
        found = asyncio.run(after_the_first(made, doubling, [made.submit(given(x), None, 30) for x in (1, 2, 3)]))
    assert found[:3] == [[2], [2], [4]]
    assert isinstance(found[3], Problem) and (found[3].status, found[3].headers) == (503, {"Retry-After": "1"})


def test_a_request_that_waits_too_long_is_given_up_and_not_scored() -> None:
    async def impatient(made: Batcher[list[int]], doubling: Doubling) -> None:
        first = asyncio.create_task(made.submit(given(1), None, 30))
        await asyncio.to_thread(doubling.begun.wait, 30)
        with pytest.raises(Problem, match="not scored within") as told:
            await made.submit(given(2), None, 0.01)
        assert told.value.status == 504
        doubling.go.set()
        assert await first == [2]

    with batcher() as (made, doubling):
        asyncio.run(impatient(made, doubling))
    assert doubling.batches == [[1]]


def test_a_batch_that_is_not_full_waits_for_more_only_where_there_is_a_queue() -> None:
    async def late(made: Batcher[list[int]], doubling: Doubling) -> None:
        first = asyncio.create_task(made.submit(given(1), None, 30))
        await asyncio.to_thread(doubling.begun.wait, 30)
        second = asyncio.create_task(made.submit(given(2), None, 30))
        await asyncio.sleep(0)
        doubling.go.set()
        await first
        third = asyncio.create_task(made.submit(given(3), None, 30))
        await asyncio.gather(second, third)

    with batcher(max_wait_ms=10_000, max_batch=2) as (made, doubling):
        asyncio.run(late(made, doubling))  # waits for the third request, which fills the batch
    assert doubling.batches == [[1], [1, 1]]


def test_closing_answers_what_waits_and_refuses_what_comes() -> None:
    async def closed(made: Batcher[list[int]], doubling: Doubling) -> None:
        first = asyncio.create_task(made.submit(given(1), None, 30))
        await asyncio.to_thread(doubling.begun.wait, 30)
        second = asyncio.create_task(made.submit(given(2), None, 30))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(made.close))
        doubling.go.set()
        assert await asyncio.gather(first, second) == [[2], [4]]
        await closing
        with pytest.raises(Problem, match="being unloaded"):
            await made.submit(given(3), None, 30)

    with batcher() as (made, doubling):
        asyncio.run(closed(made, doubling))
