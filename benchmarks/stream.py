"""Memory of scoring a table piece by piece: the peak of `automtl predict` for a table, and for ten times as many rows.

A small model is fitted on a synthetic log. Each run is a process of its own, which reads its peak of resident memory
from the system (Linux). `memory`: the peak for ten times the rows over that for the table, by form of the input;
`memory in one piece`: the peak of `Predictor.predict` of the larger table, over that of the stream; `speed`: seconds of
`predict` over those of the stream, both from a file to a file, without the start of the process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

import automtl
from automtl.tables.synthetic import synthetic_log
from common import arguments, report

PIECE = 1 << 14
FORMS = ("parquet", "csv")
QUICK = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
STREAM = """
import sys, time, automtl
automtl.Predictor.load(sys.argv[1])
start = time.perf_counter()
automtl.predict_table(sys.argv[1], sys.argv[2], sys.argv[3], keep=["user_id"], rows_per_piece=int(sys.argv[4]))
print(time.perf_counter() - start)
"""
WHOLE = """
import sys, time, automtl
automtl.Predictor.load(sys.argv[1])
start = time.perf_counter()
table = automtl.read_table(sys.argv[2])
automtl.Predictor.load(sys.argv[1]).predict(table).insert_column(0, table["user_id"]).write_parquet(sys.argv[3])
print(time.perf_counter() - start)
"""

PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def measured(code: str, *given: object) -> tuple[float, float]:
    """Return MB of the peak of resident memory, and seconds, of a process that runs some code."""
    command = [sys.executable, "-c", code + PEAK, *map(str, given)]
    seconds, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(kilobytes) / 1024, float(seconds)


def tables(folder: Path, rows: int) -> dict[str, list[Path]]:
    """Write a table, and one of ten times the rows, in each form."""
    log = synthetic_log(rows, seed=1).drop("tags")
    found: dict[str, list[Path]] = {form: [] for form in FORMS}
    for times in (1, 10):
        for form, paths in found.items():
            paths.append(folder / f"{times}.{form}")
        whole = pl.concat([log] * times)
        whole.write_parquet(folder / f"{times}.parquet", row_group_size=1 << 16)
        whole.write_csv(folder / f"{times}.csv")
    return found


def main() -> None:
    """Fit a model and print the figures."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--piece", type=int, default=PIECE)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, settings = Path(place), automtl.read_settings(None, QUICK)
        log = synthetic_log(10_000, seed=1).drop("tags")
        automtl.fit_table(log, ["click", "buy"], settings=settings, out=folder / "model")
        for form, (one, ten) in tables(folder, options.rows).items():
            peaks, seconds = [], []
            for name, code, path in (("stream", STREAM, one), ("stream x10", STREAM, ten), ("whole", WHOLE, ten)):
                peak, took = measured(
                    code, folder / "model", path, folder / f"{name}.{form}.out.parquet", options.piece
                )
                print(f"{form:8} {name:11} {peak:7.0f} MB {took:7.1f} s", flush=True)
                peaks.append(peak)
                seconds.append(took)
            figures[f"memory, {form}"] = round(peaks[1] / peaks[0], 2)
            figures[f"memory in one piece, {form}"] = round(peaks[2] / peaks[1], 2)
            figures[f"speed, {form}"] = round(seconds[2] / seconds[1], 2)
    report("stream", figures, options.out)


if __name__ == "__main__":
    main()
