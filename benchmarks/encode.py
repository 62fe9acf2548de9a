"""Encoding a table of 20 columns: automtl against pandas with scikit-learn's LabelEncoder, each in its own process.

The table, from a seed: 5 dense integer ids (up to a fifth of the rows, at most 1 million, distinct, few values with
most rows), 2 ids scattered over 63 bits, 5 text ids as high, 2 short texts of few values, 4 numbers, 2 labels; no
nulls. Both read the same Parquet file, which is not timed, and make the same thing: ids of every value that occurs as
one int32 array (N, 14), standardised numbers as one float32 array (N, 4), labels as one float32 array (N, 2).

- `pandas`: `LabelEncoder.fit_transform` on each column as pandas read it, (x - mean) / std on the numbers; new rows
  are the same rows through `transform`.
- `pandas_objects`: the same with texts turned to Python objects beforehand, not timed: what pandas 2 reads.
- `automtl`: `Encoder.fit` (which also encodes its rows; minimum count 1, no quantile bins, no target encoding) and
  `Encoder.encode`; it also checks labels and takes the logarithm of numbers where that makes them less skewed.
- `automtl_defaults`: minimum count 3, 32 quantile bins, still no target encoding.
- `automtl_parts`: `Encoder.encode_parts`, each part dropped after use.

`above`: the highest memory while the work ran, less what the process held before and less the result.
Ratios, larger is better for us: `pandas` (fit and encode over the better of both pandas forms), `pandas_transform`.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from common import arguments, report

DENSE, SCATTERED, TEXTS, SHORT, NUMBERS, LABELS = (
    [f"{kind}_{i}" for i in range(count)]
    for kind, count in (("dense", 5), ("scattered", 2), ("text", 5), ("short", 2), ("number", 4), ("label", 2))
)
IDS = [*DENSE, *SCATTERED, *TEXTS, *SHORT]
ROUNDS = 3


def make_table(rows: int, distinct: int | None = None, seed: int = 0) -> pl.DataFrame:
    """See the head of this file. Values of rank r are drawn about as often as r ** -2/3."""
    rng = np.random.default_rng(seed)
    high = distinct or min(max(rows // 5, 10), 1_000_000)

    def ids(distinct: int) -> np.ndarray:
        drawn = (rng.random(rows) ** 3 * distinct).astype(np.int64)
        return rng.permutation(distinct)[drawn]

    columns: dict[str, Any] = {}
    for i, name in enumerate(DENSE):
        columns[name] = ids(max(high // (1, 1, 4, 16, 256)[i], 10)) + 1
    for name in SCATTERED:
        columns[name] = rng.integers(0, 2**63 - 1, high)[ids(high)]
    for i, name in enumerate(TEXTS):
        known = pl.Series(rng.integers(0, 2**40, high // (1, 1, 1, 4, 16)[i]))
        columns[name] = (("u_", "sku-", "session:", "q ", "c")[i] + known.cast(pl.String)).gather(ids(len(known)))
    for name in SHORT:
        columns[name] = pl.Series([f"kind {value}" for value in range(40)]).gather(ids(40))
    for name in NUMBERS:
        columns[name] = rng.normal(size=rows) if name.endswith(("0", "1")) else np.exp(rng.normal(size=rows))
    for name in LABELS:
        columns[name] = (rng.random(rows) < 0.1).astype(np.int8)
    return pl.DataFrame(columns)


def run_pandas(path: Path, objects: bool) -> dict[str, float]:
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder

    table = pd.read_parquet(path)
    if objects:
        for name in (*TEXTS, *SHORT):
            table[name] = table[name].astype(object)
    encoders: dict[str, LabelEncoder] = {}

    def encode(ids: Callable[[str], np.ndarray]) -> list[np.ndarray]:
        categorical = np.empty((len(table), len(IDS)), np.int32)
        for place, name in enumerate(IDS):
            categorical[:, place] = ids(name)
        numeric = np.empty((len(table), len(NUMBERS)), np.float32)
        for place, name in enumerate(NUMBERS):
            numeric[:, place] = (table[name] - table[name].mean()) / table[name].std()
        return [categorical, numeric, table[LABELS].to_numpy().astype(np.float32)]

    def fit(name: str) -> np.ndarray:
        encoders[name] = LabelEncoder()
        return encoders[name].fit_transform(table[name])

    return measured(lambda: encode(fit), "fit") | measured(
        lambda: encode(lambda n: encoders[n].transform(table[n])), ""
    )


def run_automtl(path: Path, defaults: bool, parts: bool) -> dict[str, float]:
    from automtl.features.encoder import Encoder
    from automtl.features.settings import EncoderSettings
    from automtl.tables.schema import Field, FieldKind, Schema, Task

    table = pl.read_parquet(path)
    fields = [Field(name, FieldKind.CATEGORICAL) for name in IDS] + [Field(n, FieldKind.NUMERIC) for n in NUMBERS]
    schema = Schema(tuple(fields), tuple(Task(name) for name in LABELS))
    settings = (
        EncoderSettings(target_encoding=False)
        if defaults
        else EncoderSettings(target_encoding=False, min_count=1, bins=0)
    )
    fitted: list[Any] = []

    def arrays(batch: Any) -> list[np.ndarray]:
        tensors = (batch.features.categorical, batch.features.numeric, batch.labels, batch.mask, batch.weight)
        return [tensor.numpy() for tensor in tensors]

    def fit() -> list[np.ndarray]:
        encoder, batch = Encoder.fit(table, schema, settings, 0)
        fitted.append(encoder)
        return arrays(batch)

    def encode_parts() -> list[np.ndarray]:
        for _ in fitted[0].encode_parts(table):
            pass
        return []

    return measured(fit, "fit") | measured(encode_parts if parts else lambda: arrays(fitted[0].encode(table)), "")


RUNS: dict[str, Callable[[Path], dict[str, float]]] = {
    "pandas": lambda path: run_pandas(path, objects=False),
    "pandas_objects": lambda path: run_pandas(path, objects=True),
    "automtl": lambda path: run_automtl(path, defaults=False, parts=False),
    "automtl_defaults": lambda path: run_automtl(path, defaults=True, parts=False),
    "automtl_parts": lambda path: run_automtl(path, defaults=False, parts=True),
}


def measured(work: Callable[[], list[np.ndarray]], name: str) -> dict[str, float]:
    """Seconds, and megabytes above what was held before and the result. Linux only: else memory is 0."""
    gc.collect()
    clear, before = Path("/proc/self/clear_refs"), memory("VmRSS")
    if clear.exists():
        clear.write_text("5")  # the highest memory starts again from here
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    megabytes = sum(array.nbytes for array in result) / 2**20
    prefix = f"{name}_" if name else ""
    return {
        f"{prefix}seconds": round(seconds, 3),
        f"{prefix}peak_megabytes": round(memory("VmHWM")),
        f"{prefix}result_megabytes": round(megabytes),
        f"{prefix}above_megabytes": round(memory("VmHWM") - before - megabytes),
    }


def memory(what: str) -> float:
    """Megabytes, as the system counts them."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def in_process(run: str, path: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--run", run, "--table", str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{run:17}", found, flush=True)
    return found


def side_of(run: str, path: Path, rows: int) -> dict[str, float]:
    """Medians of several processes; pandas, which is slow, runs once."""
    found = [in_process(run, path) for _ in range(1 if run.startswith("pandas") else ROUNDS)]
    middle = {key: statistics.median(values[key] for values in found) for key in found[0]}
    return middle | {"fit_rows_per_second": round(rows / middle["fit_seconds"])}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=int, help="values of the widest columns (default: a fifth of the rows)")
    parser.add_argument("--runs", nargs="*", choices=RUNS, default=list(RUNS), help="which sides to run")
    parser.add_argument("--run", choices=RUNS, help="run one side here and print its figures (used by the parent)")
    parser.add_argument("--table", type=Path, help="the Parquet file for --run")
    given = parser.parse_args()
    if given.run:
        print(json.dumps(RUNS[given.run](given.table)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        make_table(given.rows, given.distinct).write_parquet(path)
        sides = {run: side_of(run, path, given.rows) for run in given.runs}
    figures: dict[str, Any] = {"rows": given.rows, "sides": sides}
    theirs = [side for run, side in sides.items() if run.startswith("pandas")]
    if theirs and "automtl" in sides:
        ours = sides["automtl"]
        figures["pandas"] = round(min(side["fit_seconds"] for side in theirs) / ours["fit_seconds"], 1)
        figures["pandas_transform"] = round(min(side["seconds"] for side in theirs) / ours["seconds"], 1)
    report("encode", figures, given.out, ["polars", "pandas", "scikit-learn", "numpy"])


if __name__ == "__main__":
    main()
