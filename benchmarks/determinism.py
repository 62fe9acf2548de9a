"""Benchmark of determinism: one seed, one table, fits under conditions that should not change the model.

    python benchmarks/determinism.py FOLDER --rows 6000

The same fit is made again, with two threads, and is stopped and goes on. For each, the files of the model that differ
are named, and how far scores and metrics are from those of the first fit.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.experiment.unfinished import unfinished_folder
from automtl.tables.synthetic import synthetic_log
from common import arguments, report

TASKS = ["click", "buy"]
SETTINGS = "training: {epochs: 3}\ntrees: {rounds: 60, learning_rate: 0.1}\nbudget: {save_every: 1ms}\n"
TOLD_APART = ("metrics.json", "history.json", "report.html", "card.md", "manifest.json")  # seconds stand in these
STOPPED_AFTER = 4.0  # seconds after the first state is saved


def fit(folder: Path, name: str, table: str, threads: int, *, stopped: bool = False) -> Path:
    """Fit a table in a process of its own, which may be stopped once and goes on."""
    out = folder / name
    command = [sys.executable, "-m", "automtl", "fit", str(folder / table), "--config", str(folder / "settings.yaml")]
    command += [*(word for task in TASKS for word in ("--task", task)), "--drop", "like", "--drop", "cart"]
    command += ["--seed", "3", "--out", str(out), "--overwrite"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if stopped:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(unfinished_folder(out).glob("*.safetensors")):
            time.sleep(0.05)
        time.sleep(STOPPED_AFTER)
        process.send_signal(signal.SIGTERM)
        if process.wait() != 75:
            raise SystemExit("the fit ended before it could be stopped; give more --rows")
        command.remove("--overwrite")
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return out


def scores(folder: Path, run: Path, table: str, threads: int) -> np.ndarray:
    """Score the table by a run; (N, T) float64."""
    out = run.with_suffix(".scores.parquet")
    command = [sys.executable, "-m", "automtl", "predict", str(run), str(folder / table), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run([*command, "--overwrite"], env=environment, check=True, capture_output=True)
    return pl.read_parquet(out).select(pl.selectors.float()).to_numpy().astype(np.float64)


def held_against(first: Path, other: Path) -> dict[str, Any]:
    """Compare two runs: files that differ, the architecture, metrics of the test rows."""
    names = sorted(path.name for path in first.iterdir() if path.is_file() and path.name not in TOLD_APART)
    differ = [name for name in names if (first / name).read_bytes() != (other / name).read_bytes()]
    one, two = (_test(run) for run in (first, other))
    return {"differ": differ, "metrics": max(abs(one[key] - two[key]) for key in one)}


def _test(run: Path) -> Mapping[str, float]:
    found = json.loads((run / "metrics.json").read_text())["test"]["tasks"]
    return {task: found[task]["auc"] for task in TASKS}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=6000)
    chosen = parser.parse_args()
    folder = chosen.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(SETTINGS)
    log = synthetic_log(chosen.rows, seed=1)
    log.write_parquet(folder / "log.parquet")
    first = fit(folder, "first", "log.parquet", 1)
    base = scores(folder, first, "log.parquet", 1)
    others = {
        "again": fit(folder, "again", "log.parquet", 1),
        "stopped": fit(folder, "stopped", "log.parquet", 1, stopped=True),
        "two threads": fit(folder, "threads", "log.parquet", 2),
    }
    found = {}
    for name, run in others.items():
        apart = np.abs(scores(folder, run, "log.parquet", 1) - base).max()
        found[name] = held_against(first, run) | {"scores": float(apart)}
        differ, metrics = found[name]["differ"] or "none", found[name]["metrics"]
        print(f"{name:14} files that differ: {differ}, scores {apart:.1e}, AUC {metrics:.1e}")
        sys.stdout.flush()
    apart = float(np.abs(scores(folder, first, "log.parquet", 2) - base).max())
    print(f"the first model, scored by two threads: {apart:.1e}")
    report("determinism", {"fits": found, "scored by two threads": apart, "rows": chosen.rows}, chosen.out)


if __name__ == "__main__":
    main()
