"""Workers: processes that train one model together, each with its share of the rows of every batch.

All workers have the same rows, weights and random states, do the same steps and take the same decisions. Of a batch
each computes the logits of its own rows; then all have the logits of all rows, and with them the same loss. Gradients
are summed over the workers, so that a step is the step of one process, up to rounding. What is decided by the clock, by
a signal or by a measurement is decided by the first worker, which alone writes files and speaks.

The backend is torch.distributed. In a process that is not one of several workers all functions do nothing.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from automtl.errors import WorkerError

if TYPE_CHECKING:
    from torch import Tensor, nn

Value = TypeVar("Value")


@dataclass(frozen=True)
class Workers:
    """The place of this process among `count` workers."""

    place: int = 0
    count: int = 1

    @property
    def several(self) -> bool:
        """Tell whether there are other workers."""
        return self.count > 1

    @property
    def first(self) -> bool:
        """Tell whether this is the worker that decides, writes and speaks."""
        return self.place == 0

    def share(self, rows: int) -> slice:
        """Return this worker's part of so many rows; of fewer rows than workers, all of them."""
        if rows < self.count:
            return slice(0, rows)
        least, more = divmod(rows, self.count)
        start = self.place * least + min(self.place, more)
        return slice(start, start + least + (self.place < more))


ALONE = Workers()
# Bytes that a worker sends, by collective operation: its tensor as often as workers in a ring hand it on.
sent_bytes: dict[str, float] = defaultdict(float)
_HANDED_ON: dict[str, Callable[[int], float]] = {
    "all_reduce": lambda count: 2 * (count - 1) / count, "all_gather": lambda count: count - 1,
    "all_to_all_single": lambda count: (count - 1) / count, "broadcast": lambda count: 1,
}  # fmt: skip
_current: ContextVar[Workers] = ContextVar("workers", default=ALONE)


def workers() -> Workers:
    """Return the place of this process; that of the only worker outside of `together`."""
    return _current.get()


def is_worker() -> bool:
    """Tell whether this process was started as one of several workers, as by torchrun, Ray or `--workers`."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def leave(code: int) -> NoReturn:
    """End a worker at once: threads of the backend, which may outlive its group, can crash Python's own way out."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def speaks() -> bool:
    """Tell whether this process may write to the screen: it is no worker, or the first one."""
    return not is_worker() or os.environ["RANK"] == "0"


@contextmanager
def together() -> Iterator[Workers]:
    """Join the workers that the environment names (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) for the block."""
    if not is_worker():
        yield ALONE
        return
    import torch
    from torch import distributed

    own = not distributed.is_initialized()  # an engine such as Ray Train has joined them already
    if own:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    token = _current.set(Workers(distributed.get_rank(), distributed.get_world_size()))
    try:
        yield workers()
        all_wait()  # none leaves while another one still asks
    finally:
        _current.reset(token)
        if own:
            distributed.destroy_process_group()


@contextmanager
def apart() -> Iterator[None]:
    """Let this process work without the others in the block."""
    token = _current.set(ALONE)
    try:
        yield
    finally:
        _current.reset(token)


def _all_take_part(act: Callable[..., object], *given: Any, **named: Any) -> None:
    """Do what needs all workers, and count what is sent. Raises WorkerError where one of them has ended."""
    try:
        act(*given, **named)
        if act.__name__ in _HANDED_ON:  # the last argument is sent; what is received comes before it
            sent_bytes[act.__name__] += given[-1].nbytes * _HANDED_ON[act.__name__](workers().count)
    except RuntimeError as error:
        raise WorkerError(
            "another worker has ended; see what it said, and give the same command again to go on from the last state"
        ) from error


def agreed(value: Value) -> Value:
    """Return the value that the first worker has. All workers have to ask."""
    own = workers()
    if not own.several:
        return value
    import torch
    from torch import distributed

    if isinstance(value, bool):  # of every step: no pickle, one number
        number = torch.tensor([value], dtype=torch.uint8)
        _all_take_part(distributed.broadcast, number, src=0)
        return bool(number)  # type: ignore[return-value]
    held: list[Any] = [value]
    _all_take_part(distributed.broadcast_object_list, held, src=0)
    found: Value = held[0]
    return found


def gathered(value: Value) -> list[Value]:
    """Return the values of all workers, in the order of their places. All workers have to ask."""
    if not workers().several:
        return [value]
    from torch import distributed

    found: list[Any] = [None] * workers().count
    _all_take_part(distributed.all_gather_object, found, value)
    return found


def first_does(work: Callable[[], Value]) -> Value:
    """Let the first worker alone do some work, and give all its result, or what it raised."""
    if not workers().several:
        return work()
    found, raised = None, None
    if workers().first:
        try:
            with apart():
                found = work()
        except BaseException as error:
            raised = error
    found, raised = agreed((found, raised))
    if raised is not None:
        raise raised
    return found  # type: ignore[return-value]


def all_wait() -> None:
    """Wait until all workers have come here."""
    agreed(None)


def all_rows(values: Tensor, rows: int) -> Tensor:
    """Return the values (..., N, T) of all rows, of which each worker gives its share (..., n, T); has a gradient.

    Each worker must compute the same function of the result: then the gradients of the weights, summed over the
    workers, are those of that function.
    """
    own = workers()
    if not own.several:
        return values
    if rows < own.count:
        return shared(values)
    return _gathering()(values, rows, own)


def shared(value: Tensor) -> Tensor:
    """Divide the gradient of a value by the number of workers: all compute it whole, and gradients are summed."""
    count = workers().count
    return value if count == 1 else value / count + (value - value / count).detach()


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the dense gradients of the parameters over the workers, in place."""
    if not workers().several:
        return
    import torch
    from torch import distributed

    found = [one.grad for one in parameters if one.grad is not None and not one.grad.is_sparse]
    for device in dict.fromkeys(one.device for one in found):
        own = [one for one in found if one.device == device]
        flat = torch.cat([one.reshape(-1) for one in own])
        _all_take_part(distributed.all_reduce, flat)
        for one, summed in zip(own, flat.split([one.numel() for one in own]), strict=True):
            one.copy_(summed.view_as(one))


def all_given(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Join ids (n,) and values (n, D) of all workers, whose n may differ, one worker after another."""
    own = workers()
    if not own.several:
        return ids, values
    counts = _counts(len(ids), ids.device)
    return _joined(ids, counts, 0), _joined(values, counts, 0)


def exchanged_counts(counts: Sequence[int], device: Any) -> list[int]:
    """Give each worker its number, in order of their places, and return those that they give to this one."""
    import torch

    sent = torch.tensor(counts, dtype=torch.long, device=device)
    found: list[int] = exchanged(sent, [1] * len(counts), [1] * len(counts)).tolist()
    return found


def exchanged(values: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
    """Send the first `sent[0]` rows to the first worker, and so on; return what comes from all workers, in order."""
    from torch import distributed

    found = values.new_empty(sum(received), *values.shape[1:])
    splits = {"output_split_sizes": list(received), "input_split_sizes": list(sent)}
    _all_take_part(distributed.all_to_all_single, found, values.contiguous(), **splits)
    return found


def summed(values: Tensor) -> Tensor:
    """Return the sum of the values of all workers."""
    from torch import distributed

    found = values.clone()
    if workers().several:
        _all_take_part(distributed.all_reduce, found)
    return found


def joined_rows(values: Tensor, counts: Sequence[int]) -> Tensor:
    """Join rows of all workers, one worker after another, of which each has so many."""
    return _joined(values, counts, 0)


def _counts(count: int, device: Any) -> list[int]:
    import torch
    from torch import distributed

    found = [torch.zeros(1, dtype=torch.long, device=device) for _ in range(workers().count)]
    _all_take_part(distributed.all_gather, found, torch.tensor([count], device=device))
    return [int(one) for one in found]


def _joined(values: Tensor, counts: Sequence[int], dim: int) -> Tensor:
    """Join the values of all workers, of which each has so many along `dim`; equal sizes are sent."""
    import torch
    from torch import distributed

    own = values.movedim(dim, 0).contiguous()
    sent = own.new_zeros(max(counts), *own.shape[1:])
    sent[: len(own)] = own
    found = [torch.empty_like(sent) for _ in counts]
    _all_take_part(distributed.all_gather, found, sent)
    return torch.cat([one[:count] for one, count in zip(found, counts, strict=True)]).movedim(0, dim)


@cache
def _gathering() -> Callable[[Tensor, int, Workers], Tensor]:
    """Return the differentiable function that joins shares of rows; made late, since this module imports no torch."""
    import torch

    class AllRows(torch.autograd.Function):
        """Joins shares of rows; the gradient of a share is that of its rows."""

        @staticmethod
        def forward(ctx: Any, values: Tensor, rows: int, own: Workers) -> Tensor:
            ctx.share = own.share(rows)
            counts = [(part := Workers(place, own.count).share(rows)).stop - part.start for place in range(own.count)]
            return _joined(values, counts, values.dim() - 2)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Any:
            return gradients[0][..., ctx.share, :], None, None

    return AllRows.apply
