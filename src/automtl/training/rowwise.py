"""Adam for a model's parameters, and for embedding tables by the rows that a step meets.

Adam with weight decay moves every row of a table in every step: rows that are not met decay, and their momentum runs
out. The cost of a step then grows with the vocabulary. Here a row is moved when it is met, and what it missed since
then is made up for in closed form. V rows of a table, D its width, n ids of a batch, U distinct ones.

Legend of a row: t steps of training so far, of which it missed k since it was met last; v its second moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl.system.denormal import TINY
from automtl.system.hardware import in_large_pages
from automtl.system.workers import all_given

BETA, EPSILON = 0.999, 1e-8  # of the second moment; of the root
SMALL_TABLE = 2**17  # rows of a table that is cheap to move whole
ROW_COST = 8  # moving a row by itself costs as much as moving so many rows of a whole table


def pays_by_rows(rows: int, ids: int) -> bool:
    """Tell whether to move a table of so many rows by rows, when a batch has so many ids."""
    return rows > SMALL_TABLE + ROW_COST * ids


def sum_by_row(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sum values (n, D) by their ids (n,): the distinct ids (U,) in order, and the sum (U, D) of each.

    On other devices than the processor there are n of each, see `sum_by_row_in_place`.
    """
    if ids.device.type != "cpu":
        return sum_by_row_in_place(ids, values)
    ordered, order = ids.sort(stable=True)
    rows, counts = torch.unique_consecutive(ordered, return_counts=True)
    return rows, nn.functional.embedding_bag(order, values, counts.cumsum(0) - counts, mode="sum")


def sum_by_row_in_place(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sum values (n, D) by their ids (n,) where only the device knows U: after them the last id, with sums of 0."""
    ordered, order = ids.sort(stable=True)
    starts = torch.searchsorted(_places(ordered), torch.arange(len(ids), device=ids.device))  # n past the last one
    return ordered[starts.clamp(max=len(ids) - 1)], nn.functional.embedding_bag(order, values, starts, mode="sum")


def repeated(rows: Tensor, sums: Tensor) -> Tensor:
    """Give a row that is repeated its sum each time, in place of 0, so that all move it alike."""
    return sums.index_select(0, _places(rows))


def _places(ordered: Tensor) -> Tensor:
    """Return the place (n,) of each of some ordered ids among the distinct ones."""
    return ordered.diff(prepend=ordered[:1]).ne(0).cumsum(0)


@dataclass(frozen=True)
class RowGradient:
    """The gradients `grad` (U, D) of some `rows` (U,) of a table."""

    table: nn.Parameter
    rows: Tensor
    grad: Tensor


class RowWiseAdam:
    """Adam without momentum, and with one second moment a row, on tables (V, D) whose gradients are sparse.

    Momentum only spreads a step over those after it: a row that is met rarely moves as far in all without. Weight decay
    is Adam's own, a part of the gradient: a row that is not met shrinks by decay / root(v) of itself in a step, which
    `move` makes up for when it is met again. Docs/decisions/0009 compares this with other forms.
    """

    def __init__(
        self, tables: Sequence[nn.Parameter], learning_rate: float, weight_decay: float,
        sharded: Sequence[nn.Parameter] = (),
    ) -> None:  # fmt: skip
        self._sharded = set(map(id, sharded))  # of which this worker has rows of its own
        self.tables, self.learning_rate, self.weight_decay = tuple(tables), learning_rate, weight_decay
        self.steps = 0
        # (V, 2): v, and the step that met the row last: side by side, as a row's are read and written together. Filled,
        # since memory that is only promised costs a page fault when it is touched.
        self.state = [in_large_pages(table.new_empty(len(table), 2).zero_()) for table in tables]
        for table in tables:
            table.data = in_large_pages(table.data)

    def is_sharded(self, table: nn.Parameter) -> bool:
        """Tell whether other workers have other rows of a table, with their gradients."""
        return id(table) in self._sharded

    @torch.no_grad()
    def gradients(self) -> list[RowGradient]:
        """Take the gradients of the tables, summed by row; the tables have none afterwards."""
        found = []
        for table in self.tables:
            gradient = table.grad
            table.grad = None
            if gradient is not None:
                ids, values = gradient._indices()[0], gradient._values()
                if not self.is_sharded(table):
                    ids, values = all_given(ids, values)
                found.append(RowGradient(table, *sum_by_row(ids, values)))
        return found

    @torch.no_grad()
    def step(self, gradients: Sequence[RowGradient]) -> None:
        """Move the rows that have a gradient."""
        self.steps += 1
        given = {id(gradient.table): gradient for gradient in gradients}
        for table, state in zip(self.tables, self.state, strict=True):
            if id(table) in given:
                gradient = given[id(table)]
                values, kept = table.index_select(0, gradient.rows), state.index_select(0, gradient.rows)
                on_processor = table.device.type == "cpu"
                self.move(values, kept, gradient.grad if on_processor else repeated(gradient.rows, gradient.grad))
                table.index_copy_(0, gradient.rows, values)
                state.index_copy_(0, gradient.rows, kept)

    def move(self, values: Tensor, state: Tensor, gradient: Tensor) -> None:
        """Move rows in place: their values (U, D) and state (U, 2), by their gradients (U, D)."""
        moment, met = state[:, :1], state[:, 1:]
        missed = (self.steps - 1) - met  # (U, 1)
        if self.weight_decay:
            root = (moment * BETA ** (missed / 2)).sqrt_().add_(EPSILON)  # halfway through what it missed
            values.mul_(torch.exp_(missed * (-self.learning_rate * self.weight_decay) / root))
            gradient = gradient.add(values, alpha=self.weight_decay)
        square = torch.linalg.vecdot(gradient, gradient).unsqueeze(1) / gradient.shape[1]
        moment.mul_(BETA ** (missed + 1)).add_(square, alpha=1 - BETA)
        met.fill_(self.steps)
        root = (moment / (1 - BETA**self.steps)).sqrt_().add_(EPSILON)
        values.addcdiv_(gradient, root, value=-self.learning_rate)
        values.copy_(nn.functional.hardshrink(values, TINY))
