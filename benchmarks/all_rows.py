"""Measure what the last training, on training and validation rows together, gives; the log's test rows are not read.

The rows that a split column names test are left out. Its validation rows become test rows, and as many of its training
rows, the newest where there is a time column, become validation rows. Then a fit is run, and the last steps of its
waterfall are shown: the gain of the main metric, with an interval over rows.

    python benchmarks/all_rows.py shared/data/census.parquet --split-column split --task label_income --seeds 2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl

from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.all_rows import ALL_ROWS
from automtl.tables.history import read_delays
from automtl.tables.roles import NAMES
from common import commit, run

TRAIN, VALID, TEST = range(3)


def main() -> None:
    """Print the steps of each seed's fit, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--split-column", required=True)
    parser.add_argument("--time")
    parser.add_argument("--label-delay", action="append", default=[])
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    log = moved(pl.read_parquet(given.table), given.split_column, given.time)
    roles = ColumnRoles(
        tuple(given.drop), split=given.split_column, time=given.time, label_delay=read_delays(given.label_delay)
    )
    settings, found = make_settings({"budget": {"preset": given.preset}}), []
    for seed in range(given.seeds):
        made = fit_table(log, given.task, roles=roles, settings=settings, seed=seed)
        steps = made.metrics["waterfall"]["steps"][-2:]
        last = steps[-1]["gain"] if steps[-1]["name"] == ALL_ROWS else {}
        for task, gain in last.items():
            before, after = (step["test"][task] for step in steps)
            interval = f"{gain['low']:+.4f} to {gain['high']:+.4f}" if "low" in gain else "unknown"
            print(f"seed {seed}, {task}: {before:.4f} -> {after:.4f} ({gain['mean']:+.4f}, {interval})", flush=True)
        seconds = made.metrics["seconds"]
        print(f"seed {seed}: {seconds['all_rows']:.0f} of {seconds['total']:.0f} s", flush=True)
        found.append({"seed": seed, "steps": steps, "seconds": seconds, "models": made.history["all_rows"]["models"]})
    print(json.dumps({"benchmark": "all-rows", "commit": commit(), "table": given.table.name, "fits": found}))


def moved(log: pl.DataFrame, column: str, time: str | None) -> pl.DataFrame:
    """Return the training and validation rows, with the parts moved on by one."""
    part = log[column].cast(pl.String).str.to_lowercase().replace_strict(NAMES, return_dtype=pl.Int8)
    train, test = log.filter(part == TRAIN), log.filter(part == VALID)
    train = train.sample(fraction=1.0, shuffle=True, seed=7) if time is None else train.sort(time, maintain_order=True)
    kept = train.height - min(test.height, train.height // 4)
    names = pl.when(pl.int_range(pl.len()) < kept).then(pl.lit("train")).otherwise(pl.lit("valid"))
    return pl.concat([train.with_columns(names.alias(column)), test.with_columns(pl.lit("test").alias(column))])


if __name__ == "__main__":
    run(main)
