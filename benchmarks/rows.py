"""One raw row, a dictionary of Python values, from its values to its scores, in one thread.

    python benchmarks/rows.py MODEL TABLE [--rows 300] [--add time_ms=259200000]

MODEL is a saved model, TABLE has rows that it can score (`--add` moves a numeric column, as the time column of a log to
after the end of the model's histories; label columns are left out). All contenders get the same row, in turns:

table        `Predictor.predict([row])`: a table of one row is made, checked, encoded and scored
row          `Predictor.predict_rows([row])`, warm: the same bits, checked here for each row
lightgbm     LightGBM's own `Booster.predict` of an encoded row, one booster a task, of `--rounds` rounds
catboost     CatBoost's own `predict` of an encoded row, likewise

`parts`: what a row's time goes to. `cold`: `predict_rows` of a row whose ids were never seen before. `micro`: rows a
second of `predict_rows` for batches of some sizes. Times are of this process on the processor (CPU time), since other
work on a machine moves them less; `wall` is the median of `row` by the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from automtl.ensemble.tree_inputs import TreeInputs
from automtl.predictor import Predictor
from automtl.tables.table import read_table
from common import arguments, report

Row = dict[str, Any]
Run = Callable[[int], object]
MICRO = (1, 2, 4, 16, 64)  # rows of a batch
TURN = 20  # rows that a contender is given one after another


def main() -> None:
    chosen = _arguments()
    torch.set_num_threads(1)
    predictor, rows, table = _given(chosen)
    predictor.warm_up()
    for row in rows[: chosen.rows]:
        predictor.predict_rows([row])
        assert _same(predictor.predict_rows([row]), predictor.predict([row])), row
    batches = [predictor.encode_rows([row]) for row in rows[: chosen.rows]]
    runs: dict[str, Run] = {
        "table": lambda place: predictor.predict([rows[place]]),
        "row": lambda place: predictor.predict_rows([rows[place]]),
        "encode": lambda place: predictor.encode_rows([rows[place]]),
        "score": lambda place: predictor.columns(batches[place]),
        **_boosters(predictor, table, chosen.rounds),
    }
    found = _in_turns(runs, chosen.rows)
    median = {name: round(1e-6 * float(np.median(times)), 3) for name, times in found.items()}
    ratios = {
        name: round(float(np.median(times / found["row"])), 2)
        for name, times in found.items()
        if name not in ("row", "encode", "score")
    }
    cold = _in_turns({"cold": lambda place: predictor.predict_rows([rows[chosen.rows + place]])}, chosen.rows)["cold"]
    wall = _in_turns({"wall": runs["row"]}, chosen.rows, time.perf_counter_ns)["wall"]
    figures = {
        "model": str(chosen.model), "ms": median, "times_of_row": ratios,
        "parts_ms": {name: median[name] for name in ("encode", "score")} | _members(predictor, batches),
        "cold_ms": round(1e-6 * float(np.median(cold)), 3), "wall_ms": round(1e-6 * float(np.median(wall)), 3),
        "micro_rows_per_second": _micro(predictor, rows),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name}: {value}")
    report("rows", figures, chosen.out, ("lightgbm", "catboost"))


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("table")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=200, help="rounds of the boosters beside")
    parser.add_argument("--add", action="append", default=[], help="COLUMN=NUMBER, which is added to a column")
    return parser.parse_args()


def _given(chosen: argparse.Namespace) -> tuple[Predictor, list[Row], pl.DataFrame]:
    predictor, table = Predictor.load(chosen.model), read_table(chosen.table)
    for one in chosen.add:
        name, _, number = one.partition("=")
        table = table.with_columns(pl.col(name) + int(number))
    last = table.tail(4 * chosen.rows).drop([one.name for one in predictor.schema.tasks])
    return predictor, last.sample(fraction=1.0, shuffle=True, seed=0).to_dicts(), table


def _same(found: Mapping[str, np.ndarray], table: pl.DataFrame) -> bool:
    return all(found[name].tobytes() == table[name].to_numpy().tobytes() for name in table.columns)


def _in_turns(runs: Mapping[str, Run], rows: int, clock: Callable[[], int] = time.process_time_ns) -> Mapping[str, Any]:
    """Return the nanoseconds of each run for each row; runs take turns of TURN rows, as a server goes on with one."""
    found: dict[str, list[int]] = {name: [] for name in runs}
    for first in range(0, rows, TURN):
        for name, run in runs.items():
            for place in range(first, min(first + TURN, rows)):
                start = clock()
                run(place)
                found[name].append(clock() - start)
    return {name: np.array(times) for name, times in found.items()}


def _boosters(predictor: Predictor, table: pl.DataFrame, rounds: int) -> dict[str, Run]:
    """Boost small models of the same inputs and tasks by each library itself, and return what scores a row of them."""
    import catboost
    import lightgbm

    some = table.tail(5000).drop([one.name for one in predictor.schema.tasks])
    matrix = TreeInputs(predictor.encoder.layout).matrix(predictor.encoder.encode(some, labels=False).features)
    labels = [table.tail(5000)[one.name].cast(pl.Float64).fill_null(0).to_numpy() for one in predictor.schema.tasks]
    settings = {"objective": "binary", "num_leaves": 31, "verbose": -1, "num_threads": 1}
    light = [lightgbm.train(settings, lightgbm.Dataset(matrix, label), rounds) for label in labels]
    options = {"iterations": rounds, "depth": 6, "verbose": False, "thread_count": 1, "allow_writing_files": False}
    cat = [catboost.CatBoostClassifier(**options).fit(matrix, label) for label in labels]
    return {
        "lightgbm": lambda place: [one.predict(matrix[place : place + 1], num_threads=1) for one in light],
        "catboost": lambda place: [
            one.predict(matrix[place : place + 1], prediction_type="RawFormulaVal", thread_count=1) for one in cat
        ],
    }


def _members(predictor: Predictor, batches: list[Any]) -> dict[str, float]:
    """Return the median milliseconds of each member of the ensemble, once networks are traced."""
    members = predictor.one_row.members(batches[0].features)
    network = predictor.network
    names = getattr(network, "names", ("network",))
    inputs = getattr(network, "inputs", [(predictor.encoder.layout.num_numeric, len(batches[0].features.multi))])
    runs = {
        name: lambda place, member=member, own=own: member(batches[place].features.first(*own))
        for name, member, own in zip(names, members, inputs, strict=True)
    }
    with torch.inference_mode():
        found = _in_turns(runs, len(batches))
    return {name: round(1e-6 * float(np.median(times)), 3) for name, times in found.items()}


def _micro(predictor: Predictor, rows: list[Row]) -> dict[int, int]:
    speeds = {}
    for size in MICRO:
        run = {"run": lambda place, size=size: predictor.predict_rows(rows[place * size % 256 :][:size])}
        speeds[size] = round(size / (1e-9 * float(np.median(_in_turns(run, 30)["run"]))))
    return speeds


if __name__ == "__main__":
    main()
