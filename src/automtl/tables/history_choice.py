"""Which histories a table's rows get where its schema leaves it open: keys and the sequence, measured on a sample.

A key is of use if its values recur, and if it is not another key once more. N sampled rows, in the order of their time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from automtl.errors import SchemaError
from automtl.system.hashing import hash_integers
from automtl.tables.event_time import event_time, words_of
from automtl.tables.history import History, SequenceHistory
from automtl.tables.schema import SINGLE, FieldKind, Schema
from automtl.tables.values.ids import unnamed
from automtl.tables.values.times import NO_TIME, is_number, time_order, unit_of

SAMPLE = 100_000  # rows, of all users or of some
MANY = 50  # a column of more distinct values is a key by itself
RECURS = 0.1  # share of rows that have an earlier row of the same key, from which on the key is one
SAME = 1.2  # distinct pairs for each distinct value of both columns, up to which one column says what the other does
SPLITS = 0.8  # rows of a pair for each row of its parts, up to which the pair says more than they do
BURSTS = 0.75  # rows between two of one id, for each one there would be by chance; users come back soon, items do not
SINGLES, PAIRS, ATTRIBUTES = 6, 4, 2  # at most so many keys, and attributes of a sequence
USERS = ("user", "uid", "member", "customer", "visitor", "viewer", "account", "client", "player", "person")
ITEMS = (
    "item", "video", "vid", "article", "product", "goods", "sku", "movie", "film", "song", "track", "news",
    "photo", "note", "post", "book", "game", "app", "ad", "creative", "content", "document", "doc", "listing", "hotel",
    "restaurant", "recipe", "course", "live", "poi",
)  # fmt: skip


def with_history(table: pl.DataFrame, schema: Schema, searched: Collection[str]) -> Schema:
    """Return the schema with all that it leaves to the table of its histories; without any where no key recurs.

    `searched`: where no time column is named, the columns among which one is looked for; it is then no number among the
    inputs. Raises SchemaError for histories or outcomes without a time column.
    """
    if schema.history is False:
        return schema
    timed = schema
    found = event_time(table, searched, schema.fields) if schema.time is None else None
    if found is not None and len(schema.fields) > 1:
        kept = tuple(field for field in schema.fields if field.name != found or field.kind is FieldKind.TIME)
        timed = replace(schema, fields=kept, time=found)
    if timed.time is None:
        _require_nothing(schema)
        return replace(schema, history=False)
    history = choose_history(table, timed, timed.history or History())
    if history.keys or history.sequence:
        return replace(timed, history=history)
    return replace(timed if schema.history or schema.outcomes else schema, history=False)


def _require_nothing(schema: Schema) -> None:
    """Raise SchemaError where something is asked for that needs a time column."""
    delays = schema.history.label_delay if schema.history else None
    asked = {"a label delay": delays is not None, "an outcome column": schema.outcomes, "'history'": schema.history}
    for what, given in asked.items():
        if given:
            raise SchemaError(
                f"{what} needs a time column, since histories follow from it; name it with --time, or 'time:' in a "
                "schema file"
            )


def choose_history(table: pl.DataFrame, schema: Schema, history: History) -> History:
    """Return the history with keys, a sequence and the unit of a numeric time chosen where they are None.

    The schema has a time column. Keys are the user, the item and other ids whose values recur, then pairs of the user
    with ids and attributes of items. Raises EncodingError where the time column holds something else.
    """
    column = table[str(schema.time)]
    unit = unit_of(column) if history.unit is None and is_number(column) else history.unit
    if history.keys is not None and history.sequence is not None:
        return replace(history, unit=unit)  # type: ignore[arg-type]
    columns = _Sample.of(table, schema)
    user = columns.user(schema.group)
    singles = columns.singles(user)
    item = _named(singles, ITEMS) or next((name for name in singles if name != user), None)
    attributes = columns.attributes(user, item) if user in singles else []
    keys = (*((name,) for name in singles), *((str(user), name) for name in attributes[:PAIRS]))
    told = tuple(name for name in attributes if name != item)[:ATTRIBUTES]
    complete = user in singles and item is not None
    sequence = SequenceHistory(str(user), (str(item), *told)) if complete else None
    return replace(
        history,
        keys=keys if history.keys is None else history.keys,
        sequence=(sequence or False) if history.sequence is None else history.sequence,
        unit=unit,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class _Sample:
    """Columns of one value, as numbers, (N,) uint64 each, 0 where missing; and the order of the rows' times, (N,)."""

    ids: dict[str, np.ndarray]
    time: np.ndarray

    @staticmethod
    def of(table: pl.DataFrame, schema: Schema) -> _Sample:
        """Take all rows of some users where a user is known by name, else the last rows."""
        fields = [field for field in schema.fields if field.kind in SINGLE]
        names = [one.name for one in fields if one.kind is FieldKind.CATEGORICAL or one.name == schema.group]
        user = schema.group if schema.group in names else _named(names, USERS)
        if table.height > SAMPLE:
            some = unnamed(table[user]).hash() % (table.height // SAMPLE + 1) == 0 if user is not None else None
            table = table.tail(SAMPLE) if some is None else table.filter(some)
        times = (one for one in schema.fields if one.kind is FieldKind.TIME and one.name == schema.time)
        time = time_order(table[str(schema.time)], next(times, None))
        order = np.argsort(time, kind="stable")
        order = order[time[order] != NO_TIME]
        return _Sample({name: _numbers(table[name])[order] for name in names}, time[order])

    @cached_property
    def distinct(self) -> dict[str, int]:
        """Number of different values of each column."""
        return {name: _count(ids) for name, ids in self.ids.items()}

    def user(self, group: str | None) -> str | None:
        """Return the column of users: that of the groups, one of such a name, or the ids that come in bursts."""
        if group in self.ids:
            return group
        known = _named(list(self.ids), USERS)
        if known is not None or not len(self.time):
            return known
        bursts = {name: _burst(self.ids[name]) for name, count in self.distinct.items() if count > MANY}
        found = min(bursts, key=lambda name: bursts[name], default=None)
        return found if found is not None and bursts[found] < BURSTS else None

    def singles(self, user: str | None) -> list[str]:
        """Return the columns that are keys by themselves: the user, then items and others, most values first."""
        by_name = (user, _named(list(self.ids), ITEMS))
        many = [name for name, count in self.distinct.items() if count > MANY or name in by_name]
        found: list[str] = []
        for name in sorted(many, key=lambda name: (name != user, -self.distinct[name])):
            alike = (other for other in found if self._is_same(name, other))
            if len(found) < SINGLES and self.recurrence(self.ids[name])[0] >= RECURS and next(alike, None) is None:
                found.append(name)
        return found

    def _is_same(self, name: str, other: str) -> bool:
        pairs = _count(paired(self.ids[name], self.ids[other]))
        return pairs <= SAME * min(self.distinct[name], self.distinct[other])

    def attributes(self, user: str | None, item: str | None) -> list[str]:
        """Return the item and its attributes whose pairs with the user are keys, those that say most first."""
        users, scores = self.ids[str(user)], {}
        share, mean = self.recurrence(users)
        for name, ids in self.ids.items():
            if name == user or not (name == item or self._describes(name, item)):
                continue
            pairs = paired(users, ids)
            if _count(pairs) <= SAME * self.distinct[str(user)]:
                continue
            recurs, rows = self.recurrence(pairs)
            least = min(mean, self.recurrence(ids)[1]) if self.distinct[name] > MANY else mean
            if recurs >= RECURS * share and rows <= SPLITS * least:
                scores[name] = recurs * (1 - rows / least)
        return sorted(scores, key=lambda name: -scores[name])

    def _describes(self, name: str, item: str | None) -> bool:
        """Tell whether a column has one value for nearly each item; without items, whether it is a key."""
        if item is None:
            return self.distinct[name] > MANY
        return _count(paired(self.ids[name], self.ids[item])) <= SAME * self.distinct[item]

    def recurrence(self, ids: np.ndarray) -> tuple[float, float]:
        """Return the share of rows that have an earlier row of the same id, and the mean number of these rows."""
        if not len(ids):
            return 0.0, 0.0
        rows = earlier_rows(ids, self.time)
        return float((rows > 0).mean()), float(rows.mean())


def earlier_rows(ids: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Count for each row, (N,), the rows of the same id and a strictly earlier time; rows are in the order of time."""
    order = np.argsort(ids, kind="stable")
    own, when, places = ids[order], time[order], np.arange(len(ids))
    first = np.ones(len(ids), bool)
    first[1:] = own[1:] != own[:-1]
    later = first.copy()
    later[1:] |= when[1:] != when[:-1]
    start = (np.maximum.accumulate(np.where(begins, places, 0)) for begins in (later, first))
    found = np.empty(len(ids), np.int64)
    found[order] = np.subtract(*start)
    return np.where(ids == 0, 0, found)


def paired(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Number the pairs of two columns' values, (N,) uint64: 0 where one is missing."""
    both = (left != 0) & (right != 0)
    mixed = hash_integers((hash_integers(left.view(np.int64)) + right).view(np.int64))
    return np.where(both, mixed, 0)


def _numbers(column: pl.Series) -> np.ndarray:
    column = unnamed(column)
    numbers = hash_integers(column.hash().to_numpy().view(np.int64))
    return np.where(column.is_null().to_numpy(), 0, numbers)


def _count(ids: np.ndarray) -> int:
    return pl.Series(ids).n_unique() - int((ids == 0).any())


def _burst(ids: np.ndarray) -> float:
    """Return the median number of rows between two of one id, for each one there would be by chance."""

    def gap(ids: np.ndarray) -> float:
        order = np.argsort(ids, kind="stable")
        again = (ids[order][1:] == ids[order][:-1]) & (ids[order][1:] != 0)
        return float(np.median(np.diff(order)[again])) if again.any() else float("nan")

    by_chance = gap(np.random.default_rng(0).permutation(ids))
    found = gap(ids) / by_chance
    return found if found == found else 1.0


def _named(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Find the name that says an id of one of the known things, the first of these first."""
    words = {name: "".join(words_of(name)) for name in names}
    return next((name for thing in known for name, own in words.items() if own in (thing, f"{thing}id")), None)
