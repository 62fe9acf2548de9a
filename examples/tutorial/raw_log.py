"""Write the raw logs of a small shop into the folder raw: what was shown, what users did with it, and the items.

The shop is made up. Users like two categories each, items differ in quality, and a user who has clicked in a category
lately is more likely to do so again. Buying depends on the price, too.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

START = dt.datetime(2026, 3, 2)
ROWS, DAYS, USERS, ITEMS, CATEGORIES = 4000, 8, 120, 60, 6


def items(rng: np.random.Generator) -> pl.DataFrame:
    """Items with a category and a price."""
    return pl.DataFrame(
        {
            "item_id": np.arange(ITEMS) + 1000,
            "category": rng.integers(0, CATEGORIES, ITEMS),
            "price": np.exp(rng.normal(3.0, 0.8, ITEMS)).round(2),
        }
    )


def events(rng: np.random.Generator, stock: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw what was shown, in the order of time, and the clicks and purchases that came of it."""
    category, price = stock["category"].to_numpy(), np.log(stock["price"].to_numpy())
    quality, spends = rng.normal(0.0, 0.8, ITEMS), rng.normal(0.0, 1.5, USERS)
    taste = rng.random((USERS, CATEGORIES)).argsort(axis=1) < 2  # each likes two categories
    seconds = np.sort(rng.integers(0, DAYS * 86_400, ROWS))
    last: dict[tuple[int, int], int] = {}  # when a user last clicked in a category
    shown: list[tuple[object, ...]] = []
    actions: list[tuple[object, ...]] = []
    for number, second in enumerate(seconds.tolist()):
        user, item = int(rng.integers(USERS)), int(rng.integers(ITEMS))
        position, time = int(rng.integers(1, 6)), START + dt.timedelta(seconds=second)
        lately = second - last.get((user, category[item]), -(10**9)) < 86_400
        shown.append((number, time, user, item + 1000, position, ("phone", "desktop")[user % 2]))
        wish = -1.7 + 1.6 * taste[user, category[item]] + 1.0 * lately + quality[item] - 0.2 * position
        if rng.random() < 1 / (1 + np.exp(-wish)):
            last[user, category[item]] = second
            dwell = int(rng.exponential(20_000))
            actions.append((number, time + dt.timedelta(seconds=5), "click", dwell))
            if rng.random() < 1 / (1 + np.exp(0.5 - spends[user] + 1.2 * (price[item] - 3.0))):
                actions.append((number, time + dt.timedelta(minutes=int(rng.integers(1, 50))), "buy", None))
    return (
        pl.DataFrame(shown, ["show_id", "time", "user_id", "item_id", "position", "device"], orient="row"),
        pl.DataFrame(actions, ["show_id", "time", "action", "dwell_ms"], orient="row"),
    )


def main() -> None:
    """Write three files."""
    rng, folder = np.random.default_rng(7), Path("raw")
    folder.mkdir(exist_ok=True)
    stock = items(rng)
    shown, actions = events(rng, stock)
    for name, table in (("shown", shown), ("actions", actions), ("items", stock)):
        table.write_csv(folder / f"{name}.csv")
        print(f"{table.height:,} rows: {folder / name}.csv")


if __name__ == "__main__":
    main()
