"""Work on slices and columns in parallel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_threads() -> int:
    """Return the number of threads that torch may use."""
    from torch import get_num_threads

    return get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, and what asks `num_threads`, use one thread inside the block."""
    from torch import get_num_threads, set_num_threads

    before = get_num_threads()
    set_num_threads(1)
    try:
        yield
    finally:
        set_num_threads(before)


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Do work on all items, in as many threads as torch may use; polars and numpy release Python's lock."""
    listed = list(items)
    if len(listed) < 2 or num_threads() == 1:
        return [work(item) for item in listed]
    with ThreadPoolExecutor(num_threads()) as pool:
        return list(pool.map(work, listed))


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items; the next one is made in a thread while one is used."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results in the order of the items, of which as many are worked on at a time as torch has threads."""
    threads = num_threads()
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
