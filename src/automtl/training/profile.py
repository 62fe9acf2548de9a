"""The profile of some rows: how their inputs and scores are distributed, small enough to be kept with a model.

Rows that come later are compared with it. N rows, K buckets of a column, B bins of scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from automtl.features.batch import Batch, subset
from automtl.features.chunk import LISTS
from automtl.features.encoder import Encoder
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler
from automtl.features.vocabulary import FIRST, MISSING, UNKNOWN
from automtl.tables.derive import simple_fields
from automtl.tables.schema import FieldKind, Task, TaskKind
from automtl.training.metrics import Scores

Kind = Literal["ids", "numbers", "lengths"]
TOP = 16  # the most frequent ids, which have a bucket of their own; those of further ids double in size
PARTS = 10  # buckets of numbers, and bins of scores, of equal numbers of rows at fit
LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # upper ends of buckets of the lengths of lists
EDGE_ROWS = 1 << 17  # training rows whose quantiles are taken
MISSING_BUCKET, UNKNOWN_BUCKET, OWN = 0, 1, 2  # buckets of all columns; those of values follow
GRID = np.linspace(-20.0, 20.0, 4001)  # edges of the bins of logits by which AUC is counted


@dataclass(frozen=True)
class ColumnProfile:
    """How many values of a column fall in each bucket: missing ones, unknown ones, and those up to each edge.

    counts: (K,), K is the number of edges + 3. Values of ids are their ids, which are ordered by frequency at fit;
    numbers are in units of the table. rows: those that were counted, of which lists have several values.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    rows: int = 0

    def counted(self, values: np.ndarray, rows: int) -> ColumnProfile:
        """Return the profile of other values alone, in the same buckets."""
        places = np.searchsorted(np.asarray(self.edges), values, side="left") + OWN
        if self.kind == "ids":
            places[values == MISSING], places[values == UNKNOWN] = MISSING_BUCKET, UNKNOWN_BUCKET
        else:
            places[np.isnan(values)] = MISSING_BUCKET
        counts = np.bincount(places, minlength=len(self.edges) + 1 + OWN)
        return replace(self, counts=tuple(counts.tolist()), rows=rows)

    def __add__(self, other: ColumnProfile) -> ColumnProfile:
        return replace(self, counts=_added(self.counts, other.counts), rows=self.rows + other.rows)


@dataclass(frozen=True)
class TaskProfile:
    """The scores that a model gave some rows, and their labels.

    edges: of scores; counts: (B,) rows by score. Of rows with a label: `labelled`, (B,) rows, sums of `labels` and of
    `scores`; `loss`, the sum of log losses or squared errors; `positives` and `negatives`: counts by bins of logits
    (GRID), of binary tasks.
    """

    name: str
    binary: bool
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    labelled: tuple[int, ...]
    labels: tuple[float, ...]
    scores: tuple[float, ...]
    loss: float = 0.0
    positives: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), compare=False)
    negatives: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), compare=False)

    def counted(self, scores: np.ndarray, labels: np.ndarray, known: np.ndarray) -> TaskProfile:
        """Return the profile of other rows alone. scores, labels, known: (N,); `known` tells where there is a label."""
        bins = np.searchsorted(np.asarray(self.edges), scores, side="left")
        size, own = len(self.edges) + 1, bins[known]
        said, true = scores[known], labels[known].astype(np.float64)
        loss = _log_losses(said, true) if self.binary else (said - true) ** 2
        ranks = np.searchsorted(GRID, _logits(said)) if self.binary else np.zeros(0, np.int64)
        counts = [np.bincount(ranks[true == label], minlength=len(GRID) + 1) for label in (1, 0)] if self.binary else []
        empty = np.zeros(0, np.int64)
        return replace(
            self, counts=_ints(bins, size), labelled=_ints(own, size), labels=_sums(own, true, size),
            scores=_sums(own, said, size), loss=float(loss.sum()),
            positives=counts[0] if counts else empty, negatives=counts[1] if counts else empty,
        )  # fmt: skip

    def __add__(self, other: TaskProfile) -> TaskProfile:
        return replace(
            self,
            counts=_added(self.counts, other.counts), labelled=_added(self.labelled, other.labelled),
            labels=_added(self.labels, other.labels), scores=_added(self.scores, other.scores),
            loss=self.loss + other.loss, positives=self.positives + other.positives,
            negatives=self.negatives + other.negatives,
        )  # fmt: skip

    @property
    def auc(self) -> float | None:
        """The share of pairs of a positive and a negative that are in order; None of one class. Ties count half.

        Logits that differ by less than a hundredth may be taken for ties.
        """
        positives, negatives = self.positives.sum(), self.negatives.sum()
        if not positives or not negatives:
            return None
        below = np.cumsum(self.negatives) - self.negatives
        return float((self.positives * (below + self.negatives / 2)).sum() / (positives * negatives))


@dataclass(frozen=True)
class Profile:
    """The columns and tasks of some rows. `columns`: those of encoded fields; `tasks`: in the order of the schema."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    tasks: tuple[TaskProfile, ...]

    @staticmethod
    def fit(encoder: Encoder, train: Batch, held_out: Sequence[tuple[Batch, Scores]]) -> Profile:
        """Return the profile of held-out rows, in buckets of equal numbers of training rows.

        Rows that the model was not trained on are what later rows are like: some of their ids are unknown, and their
        scores are not fitted. Bins of scores have equal numbers of held-out rows.
        """
        sample = subset(train, EDGE_ROWS, seed=0)
        columns = tuple(
            ColumnProfile(name, kind, _edges(kind, values, encoder, name), ())
            for name, kind, values, _ in column_values(encoder, sample)
        )
        tasks = []
        for place, task in enumerate(encoder.schema.tasks):
            said = np.concatenate([scores(place) for _, scores in held_out])
            edges = np.unique(np.quantile(said, np.linspace(0, 1, PARTS + 1)[1:-1]))
            tasks.append(TaskProfile(task.name, task.kind is TaskKind.BINARY, tuple(edges.tolist()), (), (), (), ()))
        empty = Profile(0, columns, tuple(tasks))
        counted = [empty.counted(encoder, batch, scores) for batch, scores in held_out]
        return sum(counted[1:], counted[0])

    def counted(self, encoder: Encoder, batch: Batch, scores: Scores) -> Profile:
        """Return the profile of other rows alone, encoded by the same encoder."""
        found = zip(self.columns, column_values(encoder, batch), strict=True)
        columns = tuple(one.counted(values, rows) for one, (_, _, values, rows) in found)
        labels, mask = batch.labels.numpy(), batch.mask.numpy() > 0
        tasks = tuple(
            one.counted(scores(place), labels[:, place], mask[:, place]) for place, one in enumerate(self.tasks)
        )
        return Profile(len(batch), columns, tasks)

    def __add__(self, other: Profile) -> Profile:
        columns = tuple(one + more for one, more in zip(self.columns, other.columns, strict=True))
        tasks = tuple(one + more for one, more in zip(self.tasks, other.tasks, strict=True))
        return Profile(self.rows + other.rows, columns, tasks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which `from_dict` reads; counts by logit are kept where there are some."""
        columns = [
            {"name": one.name, "kind": one.kind, "edges": one.edges, "counts": one.counts, "rows": one.rows}
            for one in self.columns
        ]
        return {"rows": self.rows, "columns": columns, "tasks": [_task_values(one) for one in self.tasks]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Profile:
        """Build the profile that `to_dict` described. Raises ValueError where values do not fit each other."""
        columns = tuple(_column(one) for one in values["columns"])
        return Profile(_whole(values["rows"]), columns, tuple(_task(one) for one in values["tasks"]))

    def require_fit(self, encoder: Encoder, tasks: Sequence[Task]) -> None:
        """Raise ValueError for a profile of other columns or tasks than those of an encoder."""
        names = {field.name for field in simple_fields(encoder.schema)}
        own = {one.name.removesuffix(LENGTH) for one in self.columns}
        if not own <= names or [one.name for one in self.tasks] != [task.name for task in tasks]:
            raise ValueError("the profile is of other columns or tasks")


LENGTH = "\x1flength"  # behind the name of a list, of the profile of its lengths


def column_values(encoder: Encoder, batch: Batch) -> Iterator[tuple[str, Kind, np.ndarray, int]]:
    """Yield name, kind, values and rows of each encoded field. Lists come twice: their ids and their lengths.

    Ids without a value of their own are UNKNOWN; numbers are NaN where missing, as far as the model is told.
    """
    categorical, numeric = batch.features.categorical.numpy(), batch.features.numeric.numpy()
    fields, rows = simple_fields(encoder.schema), len(batch)
    ids = [one for one in fields if one.kind is FieldKind.CATEGORICAL]
    for place, one in enumerate(ids):
        yield one.name, "ids", _known(categorical[:, place], len(encoder.vocabulary(one).values)), rows
    lists = [one for one in fields if one.kind in LISTS]
    for one, tensor in zip(lists, batch.features.multi, strict=False):
        values = tensor.numpy()
        given = values != MISSING
        yield one.name, "ids", _known(values[given], len(encoder.vocabulary(one).values)), rows
        yield one.name + LENGTH, "lengths", given.sum(axis=1).astype(np.float64), rows
    start, column = 0, len(ids)
    for name, scaler in encoder.scalers.items():
        own = numeric[:, start : start + scaler.width]
        start += scaler.width
        bins = None
        if isinstance(scaler, Scaler) and scaler.binned:
            bins, column = categorical[:, column], column + 1
        yield name, "numbers", _numbers(scaler, own, bins), rows


def _known(ids: np.ndarray, values: int) -> np.ndarray:
    """Return ids where hashed ones are unknown."""
    found: np.ndarray = np.where(ids >= FIRST + values, UNKNOWN, ids)
    return found


def _numbers(scaler: Scaler | Piecewise, own: np.ndarray, bins: np.ndarray | None) -> np.ndarray:
    """Read numbers back, (N,) float64: NaN where missing. own: (N, width); bins: (N,) ids, if there are some."""
    if isinstance(scaler, Piecewise):
        pieces = own[:, : len(scaler.edges) - 1].sum(axis=1, dtype=np.float64)
        values = np.interp(pieces, np.arange(len(scaler.edges)), np.asarray(scaler.edges))
    elif scaler.value:
        scaled = own[:, 0].astype(np.float64) * (scaler.std if scaler.std > 0 else 1.0) + scaler.mean
        values = np.copysign(np.expm1(np.abs(scaled)), scaled) if scaler.log else scaled
    else:
        assert bins is not None
        values = np.append(scaler.edges, np.inf)[np.maximum(bins, 2) - 2]
    if scaler.indicator and scaler.width:
        values = np.where(own[:, -1] > 0, np.nan, values)
    elif bins is not None:
        values = np.where(bins == 0, np.nan, values)
    return np.asarray(values)


def _edges(kind: Kind, values: np.ndarray, encoder: Encoder, name: str) -> tuple[float, ...]:
    """Return the upper ends of the buckets of a column but the last one, by training rows."""
    if kind == "lengths":
        return LENGTHS
    if kind == "ids":
        field = next(one for one in simple_fields(encoder.schema) if one.name == name)
        last, ends, step = FIRST + len(encoder.vocabulary(field).values) - 1, list[float](), 1
        end = FIRST
        while end < last:
            ends.append(float(end))
            step = 1 if len(ends) < TOP else 2 * step
            end += step
        return tuple(ends)
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PARTS + 1)[1:-1], method="lower"))
    return tuple(edges[edges < known.max()].tolist())


def _logits(scores: np.ndarray) -> np.ndarray:
    inside = scores.clip(1e-12, 1 - 1e-12)
    found: np.ndarray = np.log(inside) - np.log1p(-inside)
    return found


def _log_losses(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    inside = scores.clip(1e-12, 1 - 1e-12)
    found: np.ndarray = -np.where(labels > 0, np.log(inside), np.log1p(-inside))
    return found


def _added(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(np.add(one, other).tolist())


def _ints(bins: np.ndarray, size: int) -> tuple[int, ...]:
    return tuple(np.bincount(bins, minlength=size).tolist())


def _sums(bins: np.ndarray, values: np.ndarray, size: int) -> tuple[float, ...]:
    return tuple(np.bincount(bins, values, minlength=size).tolist())


def _task_values(one: TaskProfile) -> dict[str, Any]:
    plain = {name: getattr(one, name) for name in ("name", "binary", "edges", "counts", "labelled", "labels", "scores")}
    ranks = {name: _sparse(getattr(one, name)) for name in ("positives", "negatives")}
    return plain | {"loss": one.loss} | ranks


def _sparse(counts: np.ndarray) -> list[list[int]]:
    """Give the places that are not 0, and what is there."""
    places = np.flatnonzero(counts)
    return [places.tolist(), counts[places].tolist()]


def _column(values: Mapping[str, Any]) -> ColumnProfile:
    name, kind, edges = values["name"], values["kind"], _rising(values["edges"])
    counts = tuple(map(_whole, values["counts"]))
    if not isinstance(name, str) or kind not in get_args(Kind) or len(counts) != len(edges) + 1 + OWN:
        raise ValueError(f"column {name!r} does not fit its kind or counts")
    return ColumnProfile(name, kind, edges, counts, _whole(values["rows"]))


def _task(values: Mapping[str, Any]) -> TaskProfile:
    edges = _rising(values["edges"])
    sums = {name: tuple(map(float, values[name])) for name in ("labels", "scores")}
    counts = {name: tuple(map(_whole, values[name])) for name in ("counts", "labelled")}
    if any(len(one) != len(edges) + 1 for one in (*sums.values(), *counts.values())):
        raise ValueError(f"task {values['name']!r} has other counts than bins")
    if not np.isfinite([*sums["labels"], *sums["scores"], values["loss"]]).all():
        raise ValueError(f"task {values['name']!r} has sums that are no numbers")
    ranks = {name: _dense(values[name], bool(values["binary"])) for name in ("positives", "negatives")}
    return TaskProfile(
        str(values["name"]), bool(values["binary"]), edges, counts["counts"], counts["labelled"], sums["labels"],
        sums["scores"], float(values["loss"]), **ranks,
    )  # fmt: skip


def _dense(values: Sequence[Sequence[int]], binary: bool) -> np.ndarray:
    places, counts = (list(map(_whole, one)) for one in values)
    found = np.zeros(len(GRID) + 1 if binary else 0, np.int64)
    if len(places) != len(counts) or any(place >= len(found) for place in places):
        raise ValueError("counts by logit lie outside of the bins")
    found[places] = counts
    return found


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _rising(values: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(map(float, values))
    if not np.isfinite(found).all() or any(one >= other for one, other in pairwise(found)):
        raise ValueError("edges do not rise")
    return found
