"""The demo: a fit, and the models that people would use instead, on a simulated log whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from sklearn.metrics import roc_auc_score

from automtl.config import read_settings
from automtl.experiment.fit import Run, fit_table
from automtl.report.demo import Demo
from automtl.system.files import writing
from automtl.system.progress import Callback, ignore
from automtl.tables.columns import ColumnRoles
from automtl.tables.simulated import TASKS, simulated_log
from automtl.tables.table import write_table

ROLES = ColumnRoles(time="shown_at", label_delay={"buy": "1d"})
SETTINGS: dict[str, Any] = {"split": {"method": "time"}, "baselines": ["lightgbm", "mmoe", "automtl"]}


def run_demo(
    out: Path | str = Path("runs/demo"),
    *,
    rows: int = 24_000,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    callback: Callback = ignore,
) -> tuple[Run, Demo]:
    """Simulate a log, fit a model to it by the default settings and `changes`, and compare it with others.

    The log is written beside the run folder `out`, which replaces that of an earlier demo. Rows are split by time. All
    models have the same inputs, and read test rows once, at the end.
    """
    log, out = simulated_log(rows, seed=seed), Path(out)
    path = out.with_name(f"{out.name}.parquet")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_table(log.table, path)
    settings = read_settings(None, SETTINGS | dict(changes or {}))
    run = fit_table(path, TASKS, roles=ROLES, settings=settings, seed=seed, out=out, overwrite=True, callback=callback)
    tested = run.metrics["rows"]["test"]  # the newest rows
    truth = truth_aucs(log.table.tail(tested), log.truth.tail(tested))
    return run, Demo(run.metrics, run.history, truth)


def truth_aucs(labels: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    """Return the AUC by task of the probabilities that labels were drawn by: no model's can be better but by luck."""
    judged = [task for task in truth.columns if labels[task].n_unique() > 1]
    return {task: float(roc_auc_score(labels[task], truth[task])) for task in judged}
