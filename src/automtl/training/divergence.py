"""Trainings and searches whose numbers are no longer finite: when that is looked for, and what is likely to blame.

The first time, work goes back to the last good state and goes on at a lower learning rate, looking at every step. So
the second time the batch is known, and the message can name it. B rows, T tasks, N numeric columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from automtl.errors import DivergedError
from automtl.features.batch import Batch
from automtl.nn.embedding import FieldEmbedding
from automtl.tables.schema import Task, TaskKind

SLOWER = 0.1  # factor of the learning rate after a return: half of a rate that diverges often diverges, too
CHECK_EVERY = 100  # steps between two looks at the losses, each of which waits for the device


class NotFiniteError(Exception):
    """Ends an attempt in which something is not finite any more.

    `what`: the subject of a sentence with its verb; `batch`: the rows of which it was computed, where they are known;
    `task`: the place of the first task that it concerns; `where`: the place of the batch, for people.
    """

    def __init__(self, what: str, batch: Batch | None = None, task: int | None = None, where: str = "") -> None:
        super().__init__(what)
        self.what, self.batch, self.task, self.where = what, batch, task, where


def first_not_finite(losses: Tensor) -> int | None:
    """Return the place of the first task whose loss (T,) is not finite. Waits for the device."""
    found: list[bool] = losses.isfinite().tolist()
    return found.index(False) if False in found else None


def loss_of(losses: Tensor, tasks: Sequence[Task], task: int) -> str:
    """Say what the loss of a task is, given all of them (T,)."""
    return f"the loss of task '{tasks[task].name}' is {float(losses[task]):g}"


def numeric_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the numeric columns that a model embeds; none where it does so in a way of its own."""
    return next((one.numeric_names for one in model.modules() if isinstance(one, FieldEmbedding)), ())


def diverged(title: str, found: NotFiniteError, model: nn.Module, tasks: Sequence[Task], rate: float) -> DivergedError:
    """Make the error after the second time. `rate`: the learning rate then; `title`: what was trained."""
    blamed = [] if found.batch is None else [_input(found.batch, numeric_names(model)), _label(found, tasks)]
    hint = "".join(f"; {one}" for one in blamed if one)
    return DivergedError(
        f"{title}: {found.what}{found.where}, again after a return to the last good state and a tenth of the learning "
        f"rate{hint}; set training.learning_rate (of a search: search.learning_rate) below {rate:g}, or correct or "
        "leave out what is named"
    )


def _input(batch: Batch, names: Sequence[str]) -> str:
    """Name the numeric column of a batch, (B, N), that is not finite, or that has the largest value."""
    numeric = batch.features.numeric
    if not numeric.numel():
        return ""
    wrong = ~numeric.isfinite()
    flat = int((wrong.float() if bool(wrong.any()) else numeric.abs()).flatten().argmax())
    row, column = divmod(flat, numeric.shape[1])
    name = f"column '{names[column]}'" if column < len(names) else f"numeric input {column + 1}"
    said = "an input is not finite" if bool(wrong.any()) else "the largest input there is"
    value, row = float(numeric[row, column]), row + 1 + (0 if batch.own is None else batch.own.start)
    return f"{said}: {value:g} (in standard deviations) of {name}, row {row} of the batch"


def _label(found: NotFiniteError, tasks: Sequence[Task]) -> str:
    """Name the largest label of the task, if it is a number of any size."""
    if found.task is None or found.batch is None or tasks[found.task].kind is not TaskKind.REGRESSION:
        return ""
    labels = (found.batch.labels[:, found.task] * found.batch.mask[:, found.task]).abs()
    return f"the largest label of '{tasks[found.task].name}' there is {float(labels.max()):g}"
