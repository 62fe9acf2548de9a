"""A bound for the tensors that are made while a network is built from sizes that somebody else wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from automtl.errors import FileError

SMALL_BYTES, SMALL_COUNT = 64 << 20, 4096  # that any network may take


class AllocationLimit(TorchDispatchMode):
    """Refuses to make more tensors within the block than a network takes whose saved weights have so many bytes.

    A tensor is refused before it is made. The block raises FileError.
    """

    def __init__(self, weights_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = SMALL_BYTES + 4 * weights_bytes  # buffers that are not saved, and temporaries
        self.count = SMALL_COUNT + weights_bytes // 64  # less than a tensor takes in a file for its name alone

    def __torch_dispatch__(
        self, function: Any, types: Any, given: Sequence[Any] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        named = named or {}
        if any(isinstance(one, Tensor) for one in given):
            if function is torch.ops.aten.repeat.default:
                self._take(given[0].nbytes * math.prod(given[1]))
        else:
            numbers = [one for one in given if isinstance(one, int)]
            shapes = [one for one in given if isinstance(one, Sequence) and all(isinstance(size, int) for size in one)]
            if "eye" in str(function):
                numbers = [numbers[0] * numbers[-1]]
            wanted = max([*numbers, *map(math.prod, shapes)], default=0)
            self._take(wanted * (named.get("dtype") or torch.get_default_dtype()).itemsize)
        return function(*given, **named)

    def _take(self, size: int) -> None:
        self.bytes -= size
        self.count -= 1
        if self.bytes < 0 or self.count < 0:
            raise FileError(
                "the network that it describes is larger than its weights; restore the folder, or fit again"
            )
