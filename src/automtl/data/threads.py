"""Work on slices and columns in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results in the order of the items, by as many threads as torch may use; polars and numpy release Python's
    lock."""
    listed = list(items)
    if len(listed) < 2 or torch.get_num_threads() == 1:
        return [work(item) for item in listed]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(work, listed))
