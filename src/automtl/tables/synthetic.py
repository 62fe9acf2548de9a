"""A log with a known answer, for laws, tests and the demo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl


def synthetic_log(
    rows: int = 20_000,
    *,
    groups: Sequence[Sequence[str]] = (("click", "like"), ("buy", "cart")),
    relatedness: float = 0.0,
    interaction: float = 0.0,
    noise: float = 0.5,
    users: int = 500,
    items: int = 300,
    seed: int = 0,
) -> pl.DataFrame:
    """Rows of user, item, context, numeric and multi-valued columns, with one binary label a task.

    Tasks of one group share a score; the scores of two groups correlate by `relatedness` (0 unrelated, 1 the same).
    `interaction` is the share of the score that comes from products of user and item factors, which no sum over
    fields explains. `noise` is the standard deviation of what no column explains (the score has 1).

    >>> automtl.synthetic_log(rows=3, seed=0).select("click", "buy").shape
    (3, 2)
    """
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, users, rows), rng.integers(0, items, rows)
    device, hour = rng.integers(0, 4, rows), rng.integers(0, 24, rows)
    price = np.exp(rng.normal(2.0, 1.0, items))[item]
    tags = [rng.choice(12, size=rng.integers(1, 4), replace=False) for _ in range(items)]
    shared = _score(rng, user, item, device, price, (users, items), interaction)
    columns: dict[str, object] = {
        "user_id": user.astype(np.int64) + 10_000_000_000,
        "item_id": item.astype(np.int64),
        "device": np.array(["phone", "tablet", "desktop", "tv"])[device],
        "hour": hour,
        "price": price.round(2),
        "tags": [[f"t{tag}" for tag in tags[i]] for i in item],
    }
    for group in groups:
        own = _score(rng, user, item, device, price, (users, items), interaction)
        score = np.sqrt(relatedness) * shared + np.sqrt(1 - relatedness) * own
        for place, task in enumerate(group):
            logit = 2.0 * score + noise * rng.normal(size=rows) - 0.5 - 0.5 * place
            columns[task] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return pl.DataFrame(columns)


def _score(
    rng: np.random.Generator,
    user: np.ndarray,
    item: np.ndarray,
    device: np.ndarray,
    price: np.ndarray,
    sizes: tuple[int, int],
    interaction: float,
) -> np.ndarray:
    """(rows,) of variance one: main effects of the columns and a product of hidden factors of user and item."""
    main = rng.normal(size=sizes[0])[user] + rng.normal(size=sizes[1])[item] + 0.5 * rng.normal(size=4)[device]
    main = main + 0.5 * rng.choice([-1, 1]) * np.log(price)
    product = (rng.normal(size=(sizes[0], 2))[user] * rng.normal(size=(sizes[1], 2))[item]).sum(1)
    mixed: np.ndarray = np.sqrt(1 - interaction) * _unit(main) + np.sqrt(interaction) * _unit(product)
    return mixed


def _unit(values: np.ndarray) -> np.ndarray:
    unit: np.ndarray = (values - values.mean()) / values.std()
    return unit
