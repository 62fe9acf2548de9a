"""The layout of encoded inputs: the sizes that a network must know. Plain values, no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from automtl.tables.schema import Task, TaskKind

ID_TYPES = {"uint8": 1 << 8, "int16": 1 << 15, "int32": 1 << 31}  # and the most ids that each one holds


def id_type(size: int) -> str:
    """Return the narrowest type that holds ids below a size."""
    return next(name for name, most in ID_TYPES.items() if size <= most)


def label_type(tasks: Sequence[Task]) -> str:
    """Return the narrowest type that holds the labels of tasks exactly: float64 for quantities."""
    return "float32" if all(task.kind is TaskKind.BINARY for task in tasks) else "float64"


@dataclass(frozen=True)
class CategoricalLayout:
    """A field of one id a row; all ids are below `size` (0 is missing, 1 unknown).

    `bins`: its ids are the bins of a numeric column.
    """

    name: str
    size: int
    bins: bool = False


@dataclass(frozen=True)
class MultiLayout:
    """A field of several ids a row, padded with 0; `pooling` is mean, sum, max or attention.

    A sequence shares the ids of its `target`, a categorical field (its own `size` is 0). Its pooling is `target`: its
    last `positions` values are weighted by their likeness to the target.
    """

    name: str
    size: int
    pooling: str
    target: str | None = None
    positions: int = 0


@dataclass(frozen=True)
class NumericLayout:
    """Adjacent numeric columns that are projected into one field."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class AspectLayout:
    """A property of the events of a sequence; all ids are below `size` (0 is missing).

    An aspect with a `target` has the ids of that categorical field (its own `size` is 0).
    """

    name: str
    size: int
    target: str | None = None


@dataclass(frozen=True)
class SequenceLayout:
    """The last events of a key before each row, at most `positions`, the newest last: a list of ids for each aspect.

    All lists of a row are as long as it has events, and padded with 0; ids of the last aspect are at least 1, so that
    it tells the events from the padding. An aspect or more have a target: what this row has in common with an event.
    """

    name: str
    aspects: tuple[AspectLayout, ...]
    positions: int


@dataclass(frozen=True)
class Layout:
    """All fields in the order in which they are embedded: categorical, multi-valued, sequences, numeric groups."""

    categorical: tuple[CategoricalLayout, ...]
    multi: tuple[MultiLayout, ...]
    numeric: tuple[NumericLayout, ...]
    tasks: tuple[Task, ...]
    sequences: tuple[SequenceLayout, ...] = ()

    @property
    def num_fields(self) -> int:
        """F, the number of embedded fields: two of each sequence, one of each other."""
        return len(self.categorical) + len(self.multi) + 2 * len(self.sequences) + len(self.numeric)

    @property
    def lists(self) -> tuple[MultiLayout | AspectLayout, ...]:
        """Sizes of all lists of ids, in order: multi-valued fields, then the aspects of each sequence."""
        return (*self.multi, *(aspect for sequence in self.sequences for aspect in sequence.aspects))

    @property
    def event_types(self) -> tuple[str, ...]:
        """The types of the ids of all aspects of sequences, in order: the narrowest ones that hold them."""
        sizes = {field.name: field.size for field in self.categorical}
        aspects = (aspect for sequence in self.sequences for aspect in sequence.aspects)
        return tuple(id_type(one.size if one.target is None else sizes[one.target]) for one in aspects)

    @property
    def num_tasks(self) -> int:
        """T, the number of tasks."""
        return len(self.tasks)

    @property
    def num_numeric(self) -> int:
        """Number of numeric columns over all groups."""
        return sum(len(group.columns) for group in self.numeric)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, which `from_dict` reads."""
        return {
            "categorical": [[f.name, f.size, *([True] if f.bins else ())] for f in self.categorical],
            "multi": [[f.name, f.size, f.pooling, *((f.target, f.positions) if f.target else ())] for f in self.multi],
            "numeric": [[f.name, list(f.columns)] for f in self.numeric],
            "tasks": TypeAdapter(tuple[Task, ...]).dump_python(self.tasks, mode="json", exclude_none=True),
            "sequences": [
                [s.name, [[a.name, a.size, a.target] for a in s.aspects], s.positions] for s in self.sequences
            ],
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Layout:
        """Build the layout that `to_dict` described."""
        return Layout(
            tuple(CategoricalLayout(*entry) for entry in values["categorical"]),
            tuple(MultiLayout(*entry) for entry in values["multi"]),
            tuple(NumericLayout(name, tuple(columns)) for name, columns in values["numeric"]),
            TypeAdapter(tuple[Task, ...]).validate_python(values["tasks"]),
            tuple(
                SequenceLayout(name, tuple(AspectLayout(*aspect) for aspect in aspects), positions)
                for name, aspects, positions in values["sequences"]
            ),
        )
