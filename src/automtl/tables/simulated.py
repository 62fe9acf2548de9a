"""A log as a recommender writes it, simulated with a known truth: sessions, tastes, fatigue, fresh items, rare labels.

N rows, U users, I items, C categories, K items that compete for one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

TASKS = ("click", "long_view", "like", "buy")
RATES = {"click": 0.25, "long_view": 0.1, "like": 0.03, "buy": 0.012}  # of all rows
DAYS, START = 14.0, datetime(2026, 3, 2, tzinfo=UTC)
CATEGORIES, CREATORS, COMPETING = 24, 150, 6
SESSION = 9.0  # impressions of a session, on average
TIRED_AFTER = 30.0 / (24 * 60)  # days in which impressions of one category tire
DEVICES, CITIES, AGES = ("phone", "tablet", "desktop", "tv"), ("large", "middle", "small"), 6
HOURS = 1.0 + 0.9 * np.sin((np.arange(24) - 14) / 24 * 2 * np.pi)  # evenings are busy


@dataclass(frozen=True)
class SimulatedLog:
    """A log in the order of time, and the probabilities by which its labels were drawn, a column a task."""

    table: pl.DataFrame
    truth: pl.DataFrame


@dataclass(frozen=True)
class _Users:
    """Users: columns of the log, (U,), and what no column tells. Tastes are partly those of the age group."""

    age: np.ndarray
    city: np.ndarray
    activity: np.ndarray  # (U,) sums to one
    taste: np.ndarray  # (U, 4) what they watch
    company: np.ndarray  # (U, 3) whom they like
    thrift: np.ndarray  # (U,) how much a price deters
    mood: np.ndarray  # (U,) how much they click at all

    @staticmethod
    def drawn(count: int, rng: np.random.Generator) -> _Users:
        age, activity = rng.integers(0, AGES, count), rng.lognormal(0, 1, count)
        taste = 0.6 * rng.normal(size=(AGES, 4))[age] + 0.8 * rng.normal(size=(count, 4))
        return _Users(
            age, rng.integers(0, 3, count), activity / activity.sum(), taste, rng.normal(size=(count, 3)),
            rng.lognormal(-0.3, 0.5, count), 0.5 * rng.normal(size=count),
        )  # fmt: skip


@dataclass(frozen=True)
class _Items:
    """Items: columns of the log, (I,), and what no column tells. Many are published while the log is written."""

    category: np.ndarray
    creator: np.ndarray
    seconds: np.ndarray
    price: np.ndarray
    published: np.ndarray  # (I,) days from the start of the log
    popularity: np.ndarray  # (I,) sums to one
    content: np.ndarray  # (I, 4) meets `taste`
    company: np.ndarray  # (I, 3) meets `company`, by creator
    quality: np.ndarray
    bait: np.ndarray  # promises more than it keeps

    @staticmethod
    def drawn(count: int, rng: np.random.Generator) -> _Items:
        category, creator = rng.integers(0, CATEGORIES, count), rng.integers(0, CREATORS, count)
        content = 0.8 * rng.normal(size=(CATEGORIES, 4))[category] + 0.6 * rng.normal(size=(count, 4))
        quality = 0.5 * rng.normal(size=CREATORS)[creator] + 0.6 * rng.normal(size=count)
        popularity = 1 / rng.permutation(np.arange(10, count + 10)) ** 0.8
        return _Items(
            category, creator, rng.lognormal(3.7, 0.8, count).round(1), rng.lognormal(2.5, 1.0, count).round(2),
            rng.uniform(-DAYS, DAYS, count), popularity / popularity.sum(), content,
            rng.normal(size=(CREATORS, 3))[creator], quality, rng.normal(size=count),
        )  # fmt: skip


def simulated_log(rows: int = 40_000, *, users: int = 1_500, items: int = 1_200, seed: int = 0) -> SimulatedLog:
    """Simulate two weeks of a feed: what was shown to whom, and whether it was clicked, viewed long, liked and bought.

    Users come in sessions, in the evening more than at night. Of some items that compete, one is shown: popular, fresh
    and fitting ones more often. All labels need a click. What moves them, each on the scale of the logit, is

    - of click and long view: a user's taste meeting the content, and a category that a user is into for some days;
    - of like alone: the company of creators; of buy alone: prices, which deter some users more than others;
    - of all: quality and bait of an item, the user, the device, the hour; and fatigue of one category after another.

    Tastes, interests, quality and bait stand in no column: a model learns them from ids and from earlier rows. Rates
    are those of `RATES`.

    >>> from automtl.tables.simulated import simulated_log
    >>> simulated_log(1_000, seed=0).truth.columns
    ['click', 'long_view', 'like', 'buy']
    """
    rng = np.random.default_rng(seed)
    people, things = _Users.drawn(users, rng), _Items.drawn(items, rng)
    user, time, place = _sessions(rows, people, rng)
    interest = _interests(user, time, users, rng)
    item = _shown(user, time, interest, people, things, rng)
    device, hour = rng.integers(0, len(DEVICES), users)[user], (time * 24).astype(np.int64) % 24
    tired = _tired(user, time, things.category[item])
    logits = _logits(user, item, interest, tired, (device, hour, place), people, things, rng)
    truth, labels = _drawn(logits, rng)
    age = np.where(rng.random(users) < 0.1, -1, people.age)[user]  # some do not tell
    table = pl.DataFrame({
        "shown_at": pl.Series(_times(time)).cast(pl.Datetime("ms", "UTC")),
        "user_id": 700_000 + user, "item_id": 90_000 + item, "creator_id": 5_000 + things.creator[item],
        "category": [f"c{one:02}" for one in things.category[item]],
        "age_group": [None if one < 0 else f"a{one}" for one in age],
        "city": np.array(CITIES)[people.city[user]], "device": np.array(DEVICES)[device],
        "position": place, "length_s": things.seconds[item], "price": things.price[item],
        **{task: labels[task].astype(np.int8) for task in TASKS},
    })  # fmt: skip
    return SimulatedLog(table, pl.DataFrame(truth))


def _sessions(rows: int, people: _Users, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, times in days, and places in the session of all impressions, (N,) each in the order of time."""
    sizes = rng.geometric(1 / SESSION, rows)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), rows)) + 1]
    count = len(sizes)
    hour = rng.choice(24, count, p=HOURS / HOURS.sum())
    begin = rng.integers(0, int(DAYS), count) + (hour + rng.random(count)) / 24
    session = np.repeat(np.arange(count), sizes)[:rows]
    place = np.arange(rows) - np.searchsorted(session, session)
    waits = rng.exponential(40 / 86_400, rows)
    passed = np.cumsum(waits)
    time = begin[session] + passed - passed[np.searchsorted(session, session)]
    user = rng.choice(len(people.activity), count, p=people.activity)[session]
    order = np.argsort(time, kind="stable")
    return user[order], time[order], place[order]


def _interests(user: np.ndarray, time: np.ndarray, users: int, rng: np.random.Generator) -> np.ndarray:
    """Return the category that each row's user is into at that time, (N,): it changes every three days on average."""
    changes = np.cumsum(rng.exponential(3.0, (users, 16)), axis=1)  # (U, 16) days
    into = rng.integers(0, CATEGORIES, (users, 17))
    found: np.ndarray = into[user, (changes[user] < time[:, None]).sum(1)]
    return found


def _shown(
    user: np.ndarray, time: np.ndarray, interest: np.ndarray, people: _Users, things: _Items, rng: np.random.Generator
) -> np.ndarray:
    """Return the item of each impression, (N,), published before: the best of some that compete, with luck."""
    rivals = rng.choice(len(things.popularity), (len(user), COMPETING), p=things.popularity)  # (N, K)
    rivals[:, 0] = rng.choice(np.flatnonzero(things.published < 0), len(user))
    age = time[:, None] - things.published[rivals]
    fits = np.einsum("nd,nkd->nk", people.taste[user], things.content[rivals]) / 2
    worth = 0.5 * fits + 0.5 * (things.category[rivals] == interest[:, None]) + 1.5 * np.exp(-np.maximum(age, 0) / 2)
    worth = np.where(age >= 0, worth + rng.gumbel(size=rivals.shape), -np.inf)
    found: np.ndarray = rivals[np.arange(len(user)), worth.argmax(1)]
    return found


def _tired(user: np.ndarray, time: np.ndarray, category: np.ndarray) -> np.ndarray:
    """Count the earlier rows of the same user and category in the last half hour, (N,), 5 at most."""
    order = np.lexsort((time, category, user))
    key = (user * CATEGORIES + category)[order]
    found = np.zeros(len(user))
    for back in range(1, 6):
        same = (key[back:] == key[:-back]) & (time[order][back:] - time[order][:-back] < TIRED_AFTER)
        found[order[back:]] += same
    return found


def _logits(
    user: np.ndarray,
    item: np.ndarray,
    interest: np.ndarray,
    tired: np.ndarray,
    context: tuple[np.ndarray, np.ndarray, np.ndarray],
    people: _Users,
    things: _Items,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return the logits of click, and of the others given a click, (N,) each, up to a constant."""
    device, hour, place = context
    fits = (people.taste[user] * things.content[item]).sum(1) / 2
    company = (people.company[user] * things.company[item]).sum(1) / np.sqrt(3)
    into = (things.category[item] == interest).astype(float)
    quality, bait, mood = things.quality[item], things.bait[item], people.mood[user]
    dear = people.thrift[user] * np.log(things.price[item])
    by_device, evening = 0.3 * rng.normal(size=(len(TASKS), len(DEVICES))), np.cos((hour - 21) / 24 * 2 * np.pi)
    return {
        "click": 0.9 * fits + 1.0 * into + 0.6 * quality + 0.4 * bait + mood - 0.25 * tired - 0.03 * place
        + by_device[0, device],
        "long_view": 0.9 * fits + 0.4 * into + 0.5 * quality - 0.5 * bait - 0.4 * np.log(things.seconds[item])
        + 0.3 * evening + by_device[1, device],
        "like": 1.0 * company + 0.6 * quality - 0.5 * bait + 0.5 * mood + by_device[2, device],
        "buy": 1.0 * into - 0.8 * dear + 0.5 * quality - 0.3 * bait + by_device[3, device],
    }  # fmt: skip


def _drawn(
    logits: Mapping[str, np.ndarray], rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the probabilities of the labels and the labels drawn by them, (N,) each by task, at the rates wanted."""
    click = _at_rate(logits["click"], np.ones_like(logits["click"]), RATES["click"])
    clicked = rng.random(len(click)) < click
    truth, labels = {"click": click}, {"click": clicked}
    for task in TASKS[1:]:
        given = _at_rate(logits[task], click, RATES[task])
        truth[task], labels[task] = click * given, clicked & (rng.random(len(click)) < given)
    return truth, labels


def _at_rate(logits: np.ndarray, weights: np.ndarray, rate: float) -> np.ndarray:
    """Return probabilities (N,) whose mean, each times its weight, is the rate: a constant is added to the logits."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float((weights / (1 + np.exp(-logits - middle))).mean())
        low, high = (middle, high) if mean < rate else (low, middle)
    found: np.ndarray = 1 / (1 + np.exp(-logits - low))
    return found


def _times(days: np.ndarray) -> np.ndarray:
    """Return times (N,) in milliseconds since 1970."""
    start = int(START.timestamp() * 1000)
    found: np.ndarray = start + (days * 86_400_000).astype(np.int64)
    return found
