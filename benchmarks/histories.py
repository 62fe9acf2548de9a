"""Histories of one key with four tasks, and of all kinds, against the same statistic in polars, side by side.

The log, from a seed: users drawn so that few have most rows, times in milliseconds in no order, four binary labels.
Both make one float64 array (N, 5): the log of one plus the number of a user's earlier rows, and the logit of each
task's smoothed rate over them. Rows of equal time do not see each other.

- `polars`: labels summed by user and time, running sums by user, joined back to the rows.
- `automtl`: the columns become `Rows`, then `inputs` of kind "rates".
- `sorted`: both, of a log in the order of time, as logs mostly are.
- `all_kinds`: rows a second with every kind, three half-lives and a label delay of an hour.

`polars`, `polars_sorted`: how many times as fast we are, larger is better.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import polars as pl

from automtl.histories.plan import KINDS, SECOND, KeyPlan, Outcome, Plan
from automtl.histories.rows import Rows, key_numbers, log_times
from automtl.histories.statistics import inputs
from automtl.tables.schema import Field, FieldKind
from common import arguments, in_turns, ratio, report

TASKS = ["click", "like", "follow", "buy"]
PRIOR, SMOOTHING = 0.2, 20.0
USER = {"user": Field("user", FieldKind.CATEGORICAL)}
RATES = Plan(
    (KeyPlan(("user",), ("rates",)),),
    tuple(Outcome(task, True, prior=PRIOR) for task in TASKS),
    smoothings=(SMOOTHING,),
)
EVERY = Plan(
    (KeyPlan(("user",), KINDS),),
    tuple(Outcome(task, True, 3600 * SECOND, prior=PRIOR) for task in TASKS),
    tuple(hours * 3600 * SECOND for hours in (1, 12, 72)),
)


def make_log(rows: int, users: int, seed: int = 0) -> pl.DataFrame:
    """Draw a log of a month; the user of rank r has about as many rows as r ** -1/2."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(users)[(rng.random(rows) ** 2 * users).astype(np.int64)]
    columns: dict[str, Any] = {"user": user, "time": 1_700_000_000_000 + rng.integers(0, 30 * 86_400_000, rows)}
    return pl.DataFrame(columns | {task: (rng.random(rows) < PRIOR).astype(np.int8) for task in TASKS})


def by_polars(log: pl.DataFrame) -> np.ndarray:
    counts = [pl.len().cast(pl.Int64).alias("rows"), *(pl.col(task).cast(pl.Int64).sum() for task in TASKS)]
    moments = log.lazy().group_by("user", "time").agg(counts).sort("time")
    before = moments.with_columns((pl.col(name).cum_sum() - pl.col(name)).over("user") for name in ("rows", *TASKS))
    found = log.lazy().select("user", "time").join(before, on=["user", "time"], how="left", maintain_order="left")
    rates = [((pl.col(task) + SMOOTHING * PRIOR) / (pl.col("rows") + SMOOTHING)).clip(1e-6, 1 - 1e-6) for task in TASKS]
    return found.select(pl.col("rows").log1p(), *((rate / (1 - rate)).log() for rate in rates)).collect().to_numpy()


def as_rows(log: pl.DataFrame) -> Rows:
    values = np.stack([log[task].to_numpy().astype(np.int64) for task in TASKS], axis=1)
    known = np.ones(values.shape, bool)
    keys = key_numbers(log, [("user",)], USER)
    return Rows(log_times(log["time"], None, "ms"), keys, values, known, np.ones(log.height, bool))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    log = make_log(given.rows, given.users)
    ordered = log.sort("time")
    np.testing.assert_allclose(by_polars(log), inputs(RATES, 0, as_rows(log)), rtol=1e-9)
    seconds = in_turns(
        {
            "polars": lambda: by_polars(log),
            "automtl": lambda: inputs(RATES, 0, as_rows(log)),
            "polars_sorted": lambda: by_polars(ordered),
            "automtl_sorted": lambda: inputs(RATES, 0, as_rows(ordered)),
            "automtl_all_kinds": lambda: inputs(EVERY, 0, as_rows(ordered)),
        },
        given.rounds,
    )
    rates = {f"{name}_rows_per_second": round(given.rows / statistics.median(all_)) for name, all_ in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:36} {rate:12,}")
    ratios = {
        "polars": ratio(seconds["polars"], seconds["automtl"]),
        "polars_sorted": ratio(seconds["polars_sorted"], seconds["automtl_sorted"]),
    }
    report("histories", {"rows": given.rows, "users": given.users, **ratios, **rates}, given.out, ["polars", "numpy"])


if __name__ == "__main__":
    main()
