"""Time and peak memory of `automtl data prepare` on generated files in the raw format, by the number of rows.

    python benchmarks/raw_datasets.py --dataset userbehavior-2017 --millions 5 20
    python benchmarks/raw_datasets.py --dataset aliexpress-nl --millions 1 4

Each size runs in a process of its own. The peak is that of the resident memory, everything included.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from automtl.tables.catalog import DATASETS, aliexpress
from automtl.tables.catalog.prepare import prepare

SLICE = 1_000_000  # rows that are generated at a time
SEARCHES = 6  # rows of a search


def user_behavior(folder: Path, rows: int) -> None:
    """Ids and behaviours with the skew and the rates of a shop's log."""
    with (folder / "UserBehavior.csv").open("wb") as file:
        for start in range(0, rows, SLICE):
            rng, size = np.random.default_rng(start), min(SLICE, rows - start)
            item = (400_000 * rng.random(size) ** 3).astype(np.int64)
            behaviour = rng.choice(["pv", "buy", "cart", "fav"], size, p=[0.895, 0.02, 0.056, 0.029])
            columns = [
                rng.integers(1, rows // 100, size),
                item,
                item % 9439,
                behaviour,
                1511658000 + rng.integers(0, 10**6, size),
            ]
            pl.DataFrame(dict(zip("abcde", columns, strict=True))).write_csv(file, include_header=False)


def aliexpress_nl(folder: Path, rows: int) -> None:
    """Two thirds of the rows for training."""
    for part, share in (("train", 2 / 3), ("test", 1 / 3)):
        searches = int(rows * share) // SEARCHES
        for what, fields, repeat in (("user", aliexpress.USER_FIELDS, 1), ("item", aliexpress.ITEM_FIELDS, SEARCHES)):
            with (folder / f"nl_{what}_{part}.csv").open("wb") as file:
                for start in range(0, searches, SLICE // 10):
                    ids = np.repeat(np.arange(start, min(start + SLICE // 10, searches)), repeat)
                    _aliexpress_rows(ids, fields, what == "item", start).write_csv(file, include_header=False)


def _aliexpress_rows(ids: np.ndarray, fields: tuple[aliexpress.Field, ...], labelled: bool, seed: int) -> pl.DataFrame:
    rng, size = np.random.default_rng(seed), len(ids)
    columns = {"id": ids} | {
        field.name: rng.integers(0, 50, size) if field.kind == "categorical" else rng.random(size).round(6)
        for field in fields
    }
    return pl.DataFrame(columns | ({"label": rng.choice(3, size, p=[0.97, 0.025, 0.005])} if labelled else {}))


GENERATORS: dict[str, Callable[[Path, int], None]] = {
    "userbehavior-2017": user_behavior,
    "aliexpress-nl": aliexpress_nl,
}


def measure(name: str, folder: Path) -> None:
    """Prepare the files of a folder and print one line."""
    size, before, start = sum(path.stat().st_size for path in folder.iterdir()), peak_megabytes(), time.perf_counter()
    found = prepare(DATASETS.find(name), folder, folder / "table.parquet")
    print(
        f"{name}: raw files of {size / 2**30:.2f} GiB, {found.rows:,} rows in {time.perf_counter() - start:.1f} s, "
        f"peak memory {peak_megabytes():,.0f} MiB (before: {before:,.0f})"
    )


def peak_megabytes() -> float:
    """The largest resident size of this process so far (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=list(GENERATORS), default="userbehavior-2017")
    parser.add_argument("--millions", type=float, nargs="+", default=[5, 20])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.dataset, arguments.measure)
        return
    for millions in arguments.millions:
        with tempfile.TemporaryDirectory() as folder:
            GENERATORS[arguments.dataset](Path(folder), int(millions * 1e6))
            print(f"{millions:g} million generated rows; ", end="", flush=True)
            command = [sys.executable, __file__, "--dataset", arguments.dataset, "--measure", folder]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
