"""Measure what a refit gives on later rows of a log: the present model, and the same trained again, cold and warm.

The log is cut by its time column. The present model is fitted on the first share of the rows; then it is refitted on a
new table: the later rows alone, or all but the first rows of the log (a sliding window). All models are judged on the
newest rows of that table. Seconds are of the processor, with reading, encoding, tests and the report.

    python benchmarks/refit.py shared/data/kuairand.parquet --time time_ms --task is_click --drop hourmin
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from automtl.config import Settings, make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.refit import refit_model
from automtl.tables.history import read_delays


def main() -> None:
    """Print a line for each refit, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--time", required=True)
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--label-delay", action="append", default=[])
    parser.add_argument("--no-history", action="store_true")
    parser.add_argument("--preset", default="fast")
    parser.add_argument(
        "--first", type=float, default=0.6, help="Share of the rows that the present model is fitted on."
    )
    parser.add_argument("--slide", type=float, default=0.2, help="First rows that a sliding window leaves out.")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    log = pl.read_parquet(given.table).sort(given.time, maintain_order=True)
    settings = make_settings({"budget": {"preset": given.preset}, "split": {"method": "time"}})
    found = [one for seed in range(given.seeds) for one in refits(log, given, settings, seed)]
    print(json.dumps({"benchmark": "refit", "refits": found}))


def refits(log: pl.DataFrame, given: argparse.Namespace, settings: Settings, seed: int) -> list[dict[str, Any]]:
    """Fit the present model and refit it, each way on each table."""
    roles = ColumnRoles(
        tuple(given.drop), time=given.time, label_delay=read_delays(given.label_delay),
        history=False if given.no_history else None,
    )  # fmt: skip
    cut, found = int(len(log) * given.first), []
    tables = {"later rows": log[cut:], "sliding window": log[int(len(log) * given.slide) :]}
    with tempfile.TemporaryDirectory() as folder:
        model, start = Path(folder) / "present", time.process_time()
        fit_table(log[:cut], given.task, roles=roles, settings=settings, seed=seed, out=model)
        fitting = time.process_time() - start
        for name, table in tables.items():
            for warm in (False, True):
                out, start = Path(folder) / f"{name} {warm}", time.process_time()
                refit = refit_model(model, table, warm=warm, if_better=True, out=out)
                values = refit.acceptance.to_dict() | {"seed": seed, "table": name, "warm": warm, "fit": fitting}
                values |= {"seconds": time.process_time() - start, "taken": refit.taken}
                found.append(values)
                tell(values)
    return found


def tell(values: dict[str, Any]) -> None:
    """Print one refit."""
    loss, tasks = values["mtl_loss"], values["tasks"]
    metrics = ", ".join(
        f"{task} {one['metric']['present']:.4f} -> {one['metric']['refit']:.4f}" for task, one in tasks.items()
    )
    print(
        f"seed {values['seed']}, {values['table']}, {'warm' if values['warm'] else 'cold'}: "
        f"MTL-Loss {loss['present']:.4f} -> {loss['refit']:.4f} "
        f"({loss['gain']['low']:+.4f} to {loss['gain']['high']:+.4f}); {metrics}; "
        f"{values['seconds']:.0f} s after a fit of {values['fit']:.0f} s; {'taken' if values['taken'] else 'kept'} "
        f"{'; '.join(values['reasons'])}",
        flush=True,
    )


if __name__ == "__main__":
    main()
