"""Measure what an explanation of one row costs and how exact it is: 40 columns, an ensemble of trees and a network."""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from automtl.config import make_settings
from automtl.experiment import fit_table
from automtl.experiment.explanation import Explanation, explain
from automtl.predictor import Predictor
from common import arguments, report, run

COLUMNS, ROWS, MANY = 40, 6000, 1024
SETTINGS = {"model": "mmoe", "ensemble": True, "presets": [], "training": {"epochs": 3}, "trees": {"rounds": 200}}


def table() -> pl.DataFrame:
    """Make rows of 20 numbers and 20 ids, of which four pairs work together."""
    rng = np.random.default_rng(0)
    numbers, ids = rng.normal(size=(20, ROWS)), rng.integers(0, 30, (20, ROWS))
    effects = rng.normal(size=(20, 30)) * 0.4
    signal = sum(effects[place][ids[place]] for place in range(20)) * 0.5
    signal = signal + sum(numbers[place] * numbers[place + 4] for place in range(4)) * 0.7 + numbers[8]
    columns = {f"n{place}": numbers[place] for place in range(20)} | {f"c{place}": ids[place] for place in range(20)}
    labels = {name: (rng.random(ROWS) < 1 / (1 + np.exp(-(signal + cut)))).astype(int)
              for name, cut in (("click", -1.0), ("buy", -2.5))}  # fmt: skip
    return pl.DataFrame(columns | labels)


def values(found: Explanation) -> np.ndarray:
    """Return the contributions of the columns in a fixed order."""
    return np.array([one.contribution for one in sorted(found.contributions, key=lambda one: one.column)])


def main() -> None:
    out = arguments(__doc__).parse_args().out
    log, figures = table(), dict[str, float]()
    fitted = fit_table(log, ["click", "buy"], settings=make_settings(SETTINGS), seed=0)
    print("ensemble:", fitted.metrics["ensemble"]["weights"] if fitted.metrics["ensemble"] else "one model")
    explain(fitted.predictor, log, samples=2)  # warm
    many, _ = explain(fitted.predictor, log, rows=[5], samples=MANY)
    exact, spread = values(many), np.abs(values(many)).sum()
    for samples in (16, 64, 256):
        start = time.process_time()
        one, _ = explain(fitted.predictor, log, rows=[5], samples=samples, seed=1)
        seconds, off = time.process_time() - start, np.abs(values(one) - exact)
        gap = abs(one.base + values(one).sum() - one.output)
        told = np.mean([part.error for part in one.contributions])
        print(f"{samples:4} samples: {seconds:.2f} s of processor, additivity gap {gap:.1e}, told error {told:.4f}, "
              f"mean difference from {MANY} samples {off.mean():.4f} (largest {off.max():.4f})")  # fmt: skip
        figures[f"seconds_{samples}"] = round(seconds, 3)
        figures[f"mean_difference_{samples}"] = round(float(off.mean()), 4)
    whole = occlusion(fitted.predictor, log)
    print(f"sum of movements {spread:.3f}; output - base {many.output - many.base:.3f}, "
          f"sum of what each column alone gives (occlusion) {whole:.3f}")  # fmt: skip
    report("explain", figures | {"sum": round(many.output - many.base, 3), "occlusion": round(whole, 3)}, out)


def occlusion(predictor: Predictor, log: pl.DataFrame) -> float:
    """Return the sum over columns of what the output loses when each alone comes from 64 other rows."""
    names, rng = [name for name in log.columns if name not in ("click", "buy")], np.random.default_rng(1)
    others, row = log[rng.permutation(log.height)[:64]], log[4:5]

    def output(rows: pl.DataFrame) -> float:
        score = predictor.predict(rows)["click"]
        return float((score / (1 - score)).log().mean())  # type: ignore[arg-type]

    every, mine = row.select(pl.all().repeat_by(64).explode()), output(row)
    return sum(mine - output(every.with_columns(others[name])) for name in names)


if __name__ == "__main__":
    run(main)
