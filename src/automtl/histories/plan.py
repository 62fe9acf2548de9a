"""The plan of histories: keys, kinds of statistics, outcomes, half-lives. Plain values. Times are microseconds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field as Limit
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass

from automtl.tables.durations import LONGEST
from automtl.tables.entries import CONFIG, Several

Kind = Literal["rates", "recent", "gaps", "last", "session"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LEVELS = 1 << 14  # whole steps of a quantity's range
SECOND = 1_000_000
LARGEST = 1e300  # size of a quantity; twice of it is a float
UNITS = (("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("min", 60 * SECOND), ("s", SECOND), ("ms", 1_000), ("us", 1))

Together = tuple[tuple[int, ...], ...]  # places of outcomes that are known together
Duration = Annotated[int, Limit(ge=0, le=int(LONGEST * SECOND))]  # microseconds
Quantity = Annotated[float, Limit(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


@checked_dataclass(frozen=True, config=CONFIG)
class Outcome:
    """A thing that comes of an event: a task's label or an outcome column, known `delay` after it.

    Quantities are cut at `low` and `high`. `prior`: the mean over the training rows, in the outcome's own unit.
    """

    name: str
    binary: bool
    delay: Duration = 0
    low: Quantity = 0.0
    high: Quantity = 1.0
    prior: Quantity = 0.0

    @property
    def levels(self) -> int:
        """The whole number that stands for 1 of a binary outcome, or for the upper end of a quantity's range."""
        return 1 if self.binary else LEVELS

    @cached_property
    def share(self) -> float:
        """The prior as a share of the range, from 0 to 1."""
        return float(self.shares(np.array([self.prior]))[0])

    def shares(self, values: np.ndarray) -> np.ndarray:
        """Return values, (N,), as shares of the range, from 0 to 1."""
        shares: np.ndarray = (np.clip(values, self.low, self.high) - self.low) / ((self.high - self.low) or 1.0)
        return shares

    def whole(self, values: np.ndarray) -> np.ndarray:
        """Return values, (N,) float64, as whole numbers from 0 to `levels`, (N,) int64; NaN is 0."""
        return np.asarray(np.rint(self.shares(np.nan_to_num(values)) * self.levels).astype(np.int64))


@dataclass(frozen=True)
class Outcomes:
    """Adjacent outcomes of one delay, all of them binary or none, that are worked on together. m outcomes.

    columns: which ones; levels, shares: (m, 1), those of each.
    """

    columns: slice
    delay: int
    binary: bool
    levels: np.ndarray
    shares: np.ndarray

    @staticmethod
    def of(outcomes: Sequence[Outcome], columns: slice) -> Outcomes:
        """Take adjacent outcomes from all of a plan."""
        own = outcomes[columns]
        levels, shares = (np.array(values)[:, None] for values in zip(*((one.levels, one.share) for one in own)))
        return Outcomes(columns, own[0].delay, own[0].binary, levels, shares)

    def alone(self) -> Iterator[Outcomes]:
        """Yield the outcomes one by one."""
        start = self.columns.start
        for place in range(len(self.levels)):
            own = slice(place, place + 1)
            columns = slice(start + place, start + place + 1)
            yield replace(self, columns=columns, levels=self.levels[own], shares=self.shares[own])


@checked_dataclass(frozen=True, config=CONFIG)
class KeyPlan:
    """A key, one field or a pair, and the kinds of statistics of its earlier events."""

    key: Annotated[Several[str], Limit(min_length=1)]
    kinds: Several[Kind]


@checked_dataclass(frozen=True, config=CONFIG)
class Plan:
    """All that the statistics of a log depend on, beside the log. Values that cannot be are refused.

    `smoothings`: imagined events at the prior, by which means are smoothed; recent means start from those of the first.
    `last`: how many events enter one by one. `session`: a longer gap begins a new session. `horizon`: gaps are cut
    there, and one that never ends has this length. `sequence`: the key, by its place, and the length of sequences.
    """

    keys: Several[KeyPlan]
    outcomes: Several[Outcome]
    half_lives: Several[Annotated[Duration, Limit(ge=1)]] = ()
    last: int = Limit(default=3, ge=0, le=100)
    session: Duration = 1800 * SECOND
    smoothings: Several[Annotated[Quantity, Limit(gt=0)]] = (20.0,)
    frozen: bool = False
    sequence: tuple[Annotated[int, Limit(ge=0)], Annotated[int, Limit(ge=1, le=1000)]] | None = None
    horizon: int = Limit(default=365 * 86_400 * SECOND, ge=0, le=1 << 62)
    max_keys: int = Limit(default=10_000_000, ge=1, le=1 << 62)

    @property
    def delay(self) -> int:
        """The longest delay of an outcome."""
        return max((outcome.delay for outcome in self.outcomes), default=0)

    @cached_property
    def alike(self) -> tuple[Outcomes, ...]:
        """All outcomes, as many of them together as are alike."""
        kinds = [(one.delay, one.binary) for one in self.outcomes]
        edges = [0, *(at for at in range(1, len(kinds)) if kinds[at] != kinds[at - 1]), len(kinds)]
        return tuple(Outcomes.of(self.outcomes, slice(*edge)) for edge in pairwise(edges) if edge[0] < edge[1])

    @cached_property
    def alone(self) -> tuple[Outcomes, ...]:
        """All outcomes, one by one."""
        return tuple(one for outcomes in self.alike for one in outcomes.alone())

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The number of inputs of each key."""
        return tuple(len(self.names(place)) for place in range(len(self.keys)))

    @property
    def together(self) -> Together:
        """The places of outcomes of equal delay, the shortest delay first."""
        delays = [outcome.delay for outcome in self.outcomes]
        return tuple(tuple(place for place, delay in enumerate(delays) if delay == one) for one in sorted(set(delays)))

    def names(self, place: int) -> list[tuple[str, ...]]:
        """Return the parts of the derived name of each input of a key, in order, kind by kind."""
        key, kinds = self.keys[place].key, self.keys[place].kinds
        return [("history", *key, *parts) for kind in kinds for parts in self.inputs_of(kind)]

    @property
    def every_name(self) -> list[tuple[str, ...]]:
        """The names of all inputs, key by key."""
        return [name for place in range(len(self.keys)) for name in self.names(place)]

    def inputs_of(self, kind: Kind) -> list[tuple[str, ...]]:
        """Return what the inputs of a kind say, in order."""
        means = [("rate" if one.binary else "mean", one.name) for one in self.outcomes]
        if kind == "rates":
            return [("events",), *((*mean, f"smoothed by {one:g}") for one in self.smoothings for mean in means)]
        if kind == "recent":
            return [
                (*parts, f"half-life {duration(span)}") for span in self.half_lives for parts in [("events",), *means]
            ]
        if kind == "gaps":
            return [("gap",), *(("gap", one.name) for one in self.outcomes if one.binary)]
        if kind == "last":
            return [(f"last {back}", one.name) for back in range(1, self.last + 1) for one in self.outcomes]
        return [("session", "position"), ("session", "seconds")]

    def without(self, groups: Collection[tuple[tuple[str, ...], Kind]]) -> Plan:
        """Leave out the kinds of some keys, (key, kind) each. A key without kinds goes, unless it is the sequence's."""
        left = [
            KeyPlan(one.key, tuple(kind for kind in one.kinds if (one.key, kind) not in groups)) for one in self.keys
        ]
        needed = None if self.sequence is None else left[self.sequence[0]]
        keys = tuple(one for one in left if one.kinds or one is needed)
        sequence = self.sequence and (next(at for at, one in enumerate(keys) if one is needed), self.sequence[1])
        return replace(self, keys=keys, sequence=sequence)

    def only(self, place: int) -> Plan:
        """Return the plan of one key, given by its place."""
        sequence = None if self.sequence is None or self.sequence[0] != place else (0, self.sequence[1])
        return replace(self, keys=self.keys[place : place + 1], sequence=sequence)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Plan:
        """Read what `to_dict` returned, also after it went through JSON. Raises ValueError for what cannot be."""
        return TypeAdapter(Plan).validate_python(values)


def duration(microseconds: int) -> str:
    """Write a duration in the largest unit that holds it, with three digits.

    >>> from automtl.histories.plan import duration
    >>> duration(5_400_000_000)
    '1.5h'
    """
    unit, size = next((one for one in UNITS if microseconds >= one[1]), UNITS[-1])
    return f"{microseconds / size:.3g}{unit}"
