"""Random columns of Python values: what a table means, before it is stored in any form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Literal
from zoneinfo import ZoneInfo

Reader = Literal["id", "number", "truth", "time", "list"]
Values = list[Any]
SHANGHAI, START = ZoneInfo("Asia/Shanghai"), dt.datetime(2024, 1, 1)
WORDS = [
    "a",
    "B",
    "b ",
    " b",
    "été",
    "rouge, vert",
    "a;b",
    "tab\there",
    'a 5" nail',
    "it's",
    "line\nbreak",
    "[x",
    "^a$",
]
LOOKALIKES = [
    "007", "07", "+5", " 5", "5 ", "1e5", "1E5", "0x10", "1_000", "1.", ".5", "-0", "00", "inf", "t", "no", "1,5", "٣",
    "2024-1-5", "12:30", "1-2", "#", "#1",
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of column: the reader that it is read by, different values, and its entry in a schema."""

    reader: Reader
    pool: Callable[[Random], Values]
    entry: dict[str, Any] = field(default_factory=lambda: {"kind": "categorical"})
    missing: float = 0.15

    def draw(self, rng: Random, rows: int) -> Values:
        """Draw a column in which every value occurs, some of them absent."""
        pool = self.pool(rng)
        values = pool + [None if rng.random() < self.missing else rng.choice(pool) for _ in range(rows - len(pool))]
        rng.shuffle(values)
        return values


def whole(low: int, high: int) -> Callable[[Random], Values]:
    """Return a pool of whole numbers, some of them neighbours."""
    return lambda rng: sorted(
        {first + more for first in (rng.randint(low, high), rng.randint(low, high)) for more in (0, 1, 3)}
    )


def some(values: Sequence[Any], most: int = 6) -> Callable[[Random], Values]:
    """Return a pool of some of these values."""
    return lambda rng: rng.sample(list(values), min(most, len(values)))


def fractions(digits: int, high: int) -> Callable[[Random], Values]:
    """Return a pool of numbers of so many decimals, whole ones and negative ones among them."""
    unit = 10**digits
    return lambda rng: sorted(
        {Decimal(rng.randint(-high, high)) / unit for _ in range(5)} | {Decimal(rng.randint(1, 9)), Decimal("0.5")}
    )


def moments(step: dt.timedelta, zone: ZoneInfo | None = None) -> Callable[[Random], Values]:
    """Return a pool of times, whole multiples of a step."""
    return lambda rng: [
        START.replace(tzinfo=zone) + step * place for place in rng.sample(range(int(dt.timedelta(90) / step)), 6)
    ]


def lists(elements: Callable[[Random], Values]) -> Callable[[Random], Values]:
    """Return a pool of lists, which may be empty, hold a value twice, or lack one."""

    def pool(rng: Random) -> Values:
        known = elements(rng)
        found = [rng.choices(known, k=rng.randint(1, 4)) for _ in range(5)]
        return [*found, [], [known[0], None, known[-1]]]

    return pool


SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
NUMERIC, TIME, MULTI = {"kind": "numeric"}, {"kind": "time"}, {"kind": "multi"}
SEQUENCE = {"kind": "sequence", "target": "item"}
KINDS: dict[str, Kind] = {
    "small ids": Kind("id", whole(-3, 60)),
    "large ids": Kind("id", whole(2**60, 2**60 + 50)),
    "ids beyond Int64": Kind("id", whole(2**63, 2**64 - 9)),
    "ids beyond UInt64": Kind("id", whole(2**100, 2**110)),
    "ids of 41 digits": Kind("id", lambda rng: [str(10**40 + rng.randint(0, 10**9)) for _ in range(4)]),
    "words": Kind("id", some(WORDS)),
    "texts like numbers": Kind("id", some(LOOKALIKES)),
    "numbers and texts like them": Kind("id", lambda rng: [7, 5, *rng.sample(LOOKALIKES, 5)]),
    "leading zeros": Kind("id", lambda rng: [f"{rng.randint(1, 999):05d}", "0007", "007", "00", 7]),
    "numbers and a guest": Kind("id", lambda rng: [*range(1, 6), "guest"]),
    "truths": Kind("truth", lambda rng: [True, False]),
    "fractions": Kind("id", fractions(2, 900)),
    "tiny fractions": Kind("id", lambda rng: [Decimal("1E-7"), Decimal("25E-8"), Decimal("0.5"), Decimal(3)]),
    "days as ids": Kind("id", lambda rng: [dt.date(2024, 1, day) for day in rng.sample(range(1, 31), 5)]),
    "stripped": Kind("id", lambda rng: ["a", "b", "ab", 7], {"kind": "categorical", "text": ["strip", "lower"]}),
    "hashed": Kind("id", whole(0, 99), {"kind": "categorical", "max_ids": 2, "hashed_ids": 50}),
    "hashed words": Kind("id", some(LOOKALIKES + WORDS, 9), {"kind": "categorical", "max_ids": 2, "hashed_ids": 50}),
    "hashed lists": Kind(
        "list", lists(some(["007", "8", "a", "é"])), {"kind": "multi", "max_ids": 2, "hashed_ids": 50}
    ),
    "counts": Kind("number", whole(-5000, 5000), NUMERIC),
    "prices": Kind("number", fractions(2, 500_000), NUMERIC),
    "tiny numbers": Kind("number", lambda rng: [Decimal(rng.randint(1, 99)) / 10**8 for _ in range(5)], NUMERIC),
    "large numbers": Kind("number", lambda rng: [Decimal(10) ** rng.randint(3, 15) for _ in range(5)], NUMERIC),
    "binned numbers": Kind("number", fractions(1, 900), {"kind": "numeric", "form": "quantile"}),
    "local times": Kind("time", moments(SECOND), TIME),
    "local hours": Kind("time", moments(HOUR), TIME),
    "local days": Kind("time", moments(DAY), TIME | {"parts": ["weekday", "age"]}),
    "instants": Kind("time", moments(SECOND, SHANGHAI), TIME | {"zone": "Asia/Shanghai"}),
    "instants in seconds": Kind("time", moments(SECOND, ZoneInfo("UTC")), TIME | {"unit": "s", "zone": "UTC"}),
    "instants in milliseconds": Kind("time", moments(SECOND, SHANGHAI), TIME | {"unit": "ms", "zone": "Asia/Shanghai"}),
    "instants in microseconds": Kind("time", moments(SECOND, ZoneInfo("UTC")), TIME | {"unit": "us", "zone": "UTC"}),
    "lists of words": Kind("list", lists(some(["t1", "t2", "été", "x-y"])), MULTI),
    "lists of odd words": Kind("list", lists(some(["it's", "a,b", "a b", 'say "x"', "(", "007", "ü"])), MULTI),
    "lists of ids": Kind("list", lists(whole(0, 30)), MULTI),
    "lists of large ids": Kind("list", lists(whole(2**60, 2**60 + 9)), MULTI),
    "sequences": Kind("list", lists(lambda rng: list(range(6))), SEQUENCE),
}
