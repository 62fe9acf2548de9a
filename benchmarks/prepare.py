"""`automtl prepare` on parts of 5 million rows and 20 columns, against pandas with scikit-learn's LabelEncoder.

The parts, Parquet from a seed: 5 dense integer ids, 2 ids scattered over 63 bits, 5 text ids, 2 short texts (up to a
million distinct values a column, the same in all parts, few values with most rows), 3 numbers, 2 labels, and a split
column that says train, val or test. Each run has its own process; imports are not timed.

- `prepare`: reads the parts and writes the prepared folder (minimum count 1, no bins, no target encoding), with
  checksums, synced to the disk. `opened`: seconds until a shuffled epoch over the folder has given its first batch.
- `pandas`, `pandas_objects`: reads the first part, `LabelEncoder.fit_transform` on each id, (x - mean) / std on
  numbers, and saves the same arrays, not synced; of all rows at once, since LabelEncoder fails on values it has not
  seen. The second turns texts to Python objects first, as pandas 2 reads them.

With `--log`, parts are logs of a million rows: 5 ids, 4 tasks, the time; as many users as a twentieth of all rows.

- `histories`: histories of six keys (three ids and three pairs) and the user's last 20 events, of three ids each.
- `target_encoding`: time-ordered target encodings of the same keys.

With `--readers 1 2`, so many processes read the parts, in turns for some rounds; the folders are compared byte by byte.

- `reading`, `seconds`, `processor_seconds`: until all is read, of all, and of the processor; medians of the rounds.
- their `ratio`: to those of the first number in the same round; the least, the median and the most.

`processor_seconds`: of the process and those that it has started, that of the system for them included.
`anonymous_megabytes`: the highest memory of the process that is its own, without pages of files, which the system takes
back when it needs them; sampled every 20 ms. `pandas`, the ratios: rows a second, against 5 million rows, of each run,
and of the rows that the largest one has more than the one before it.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from common import arguments, report

PART, DISTINCT = 5_000_000, 1_000_000
LOG_START, LOG_SPAN, LOG_TASKS = 1_700_000_000_000, 14 * 86_400_000, ("click", "like", "follow", "buy")  # milliseconds
ROW_BYTES = 500  # of disk that a row takes, at most, with the working folder
DENSE, SCATTERED, TEXTS, SHORT, NUMBERS, LABELS = (
    [f"{kind}_{i}" for i in range(count)]
    for kind, count in (("dense", 5), ("scattered", 2), ("text", 5), ("short", 2), ("number", 3), ("label", 2))
)
IDS = [*DENSE, *SCATTERED, *TEXTS, *SHORT]


def make_part(place: int, rows: int, distinct: int) -> pl.DataFrame:
    """Rows of one part. Values of rank r are drawn about as often as r ** -2/3; which values there are is fixed."""
    known, rng = np.random.default_rng(0), np.random.default_rng([1, place])

    def drawn(count: int) -> np.ndarray:
        order = known.permutation(count)
        return order[(rng.random(rows) ** 3 * count).astype(np.int64)]

    columns: dict[str, Any] = {}
    for i, name in enumerate(DENSE):
        columns[name] = drawn(max(distinct // (1, 1, 4, 16, 256)[i], 10)) + 1
    for name in SCATTERED:
        columns[name] = known.integers(0, 2**63 - 1, distinct)[drawn(distinct)]
    for i, name in enumerate(TEXTS):
        numbers = pl.Series(known.integers(0, 2**40, distinct // (1, 1, 1, 4, 16)[i]))
        columns[name] = (("u_", "sku-", "session:", "q ", "c")[i] + numbers.cast(pl.String)).gather(drawn(len(numbers)))
    for name in SHORT:
        columns[name] = pl.Series([f"kind {value}" for value in range(40)]).gather(drawn(40))
    for name in NUMBERS:
        columns[name] = rng.normal(size=rows) if name.endswith("0") else np.exp(rng.normal(size=rows))
    for name in LABELS:
        columns[name] = (rng.random(rows) < 0.1).astype(np.int8)
    columns["split"] = pl.Series(["train", "val", "test"]).gather(np.searchsorted([0.7, 0.8], rng.random(rows)))
    return pl.DataFrame(columns)


def run_prepare(paths: list[Path], folder: Path, workers: int = 1) -> dict[str, Any]:
    from automtl.config import make_settings
    from automtl.experiment.prepare import prepare_table
    from automtl.system.progress import Event, Progress
    from automtl.tables.schema import Field, FieldKind, Schema, Task

    fields = [Field(name, FieldKind.CATEGORICAL) for name in IDS] + [Field(n, FieldKind.NUMERIC) for n in NUMBERS]
    schema = Schema(tuple(fields), tuple(Task(name) for name in LABELS), split="split")
    settings = make_settings({"encoder": {"min_count": 1, "bins": 0, "target_encoding": False}})
    stages: dict[str, float] = {}
    start = time.perf_counter()

    def report(event: Event) -> None:
        if isinstance(event, Progress):
            stages[event.stage] = round(time.perf_counter() - start, 2)

    table = folder / "table"
    table.mkdir()
    for path in paths:
        (table / path.name).symlink_to(path.resolve())
    prepare_table(
        str(table), out=folder / "prepared", schema=schema, settings=settings, memory_bytes=4 * 2**30, workers=workers,
        callback=report,
    )  # fmt: skip
    return {"until": stages}


def make_log(place: int, rows: int, parts: int) -> pl.DataFrame:
    """A part of a log, in order of time."""
    rng, total = np.random.default_rng([2, place]), rows * parts
    values = {"user": total // 20, "item": total // 50, "author": total // 200, "tag": 60, "tab": 8}
    columns: dict[str, Any] = {name: (rng.random(rows) ** 2 * count).astype(int) for name, count in values.items()}
    columns["at"] = LOG_START + np.sort(rng.integers(0, LOG_SPAN // parts, rows)) + place * (LOG_SPAN // parts)
    columns |= {name: (rng.random(rows) < 0.2).astype(np.int8) for name in LOG_TASKS}
    return pl.DataFrame(columns)


def run_log(paths: list[Path], folder: Path, histories: bool) -> dict[str, Any]:
    from automtl.config import make_settings
    from automtl.experiment.prepare import prepare_table
    from automtl.tables.schema import Schema

    pairs = [["user", name] for name in ("author", "tag", "tab")]
    keys = [["user"], ["item"], ["author"], *pairs]
    sequence = {"key": "user", "fields": ["item", "author", "tag"]}
    values: dict[str, Any] = {
        "fields": [{"name": name, "kind": "categorical"} for name in ("user", "item", "author", "tag", "tab")],
        "tasks": [{"name": name} for name in LOG_TASKS], "time": "at",
    }  # fmt: skip
    values |= {"history": {"keys": keys, "sequence": sequence, "unit": "ms"}} if histories else {"history": False}
    schema = Schema.from_dict(values | ({} if histories else {"target_encoding": keys}))
    settings = make_settings({"split": {"method": "time"}})
    source, made_in = str(paths[0].parent), folder / "prepared"
    made = prepare_table(source, out=made_in, schema=schema, settings=settings, memory_bytes=4 * 2**30)
    sizes = [path.stat().st_size for path in made_in.rglob("*") if path.is_file()]
    state = (made_in / "encoder.safetensors").stat().st_size
    return {
        "inputs": made.encoder.layout.num_numeric, "prepared_megabytes": round(sum(sizes) / 2**20),
        "encoder_megabytes": round(state / 2**20),
    }  # fmt: skip


def run_open(folder: Path) -> dict[str, Any]:
    import torch

    from automtl.dataset.prepared import PreparedFolder
    from automtl.features.batch import iterate

    rows = PreparedFolder.open(folder).rows("train", 2**30)
    next(iter(iterate(rows, 1024, torch.Generator().manual_seed(0))))
    return {}


def run_pandas(path: Path, folder: Path, objects: bool) -> dict[str, Any]:
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder

    table = pd.read_parquet(path)
    categorical = np.empty((len(table), len(IDS)), np.int32)
    for place, name in enumerate(IDS):
        column = table[name].astype(object) if objects and name in (*TEXTS, *SHORT) else table[name]
        categorical[:, place] = LabelEncoder().fit_transform(column)
    numeric = np.empty((len(table), len(NUMBERS)), np.float32)
    for place, name in enumerate(NUMBERS):
        numeric[:, place] = (table[name] - table[name].mean()) / table[name].std()
    labels = table[LABELS].to_numpy().astype(np.float32)
    for array, name in ((categorical, "categorical"), (numeric, "numeric"), (labels, "labels")):
        np.save(folder / name, array)
    return {}


RUNS: dict[str, Callable[[list[Path], Path], dict[str, Any]]] = {
    "prepare": run_prepare,
    "histories": lambda paths, folder: run_log(paths, folder, histories=True),
    "target_encoding": lambda paths, folder: run_log(paths, folder, histories=False),
    "open": lambda paths, folder: run_open(folder),
    "pandas": lambda paths, folder: run_pandas(paths[0], folder, objects=False),
    "pandas_objects": lambda paths, folder: run_pandas(paths[0], folder, objects=True),
}


def measured(work: Callable[[], dict[str, Any]], modules: tuple[str, ...]) -> dict[str, Any]:
    """Seconds and memory of this process while it works (Linux)."""
    highest, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest[0] = max(highest[0], memory("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for name in modules:
        import_module(name)
    start, processor = time.perf_counter(), processor_seconds()
    found = work()
    seconds, processor = time.perf_counter() - start, processor_seconds() - processor
    done.set()
    watcher.join()
    sizes = {"anonymous_megabytes": round(highest[0]), "peak_megabytes": round(memory("VmHWM"))}
    return {"seconds": round(seconds, 2), "processor_seconds": round(processor, 2), **sizes, **found}


def processor_seconds() -> float:
    """Return the processor time of this process and of the ended ones that it has started."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def memory(what: str) -> float:
    """Megabytes, as the system counts them."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def in_process(run: str, paths: list[Path], folder: Path, workers: int = 1) -> dict[str, Any]:
    command = [sys.executable, __file__, "--run", run, "--folder", str(folder), "--workers", str(workers)]
    command += ["--paths", *map(str, paths)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{run:15} {len(paths)} parts", found, flush=True)
    return found


def make_parts(folder: Path, count: int, rows: int, distinct: int) -> list[Path]:
    """Those that are not there yet."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"part-{place:03d}.parquet" for place in range(count)]
    for place, path in enumerate(paths):
        if not path.exists():
            make_part(place, rows, distinct).write_parquet(path)
    return paths


def sizes_of(folder: Path, paths: list[Path], sizes: list[int], part: int) -> dict[str, Any]:
    """Prepare 1, 2, 4 ... parts; each run's folder goes before the next one."""
    found = {}
    for count in sizes:
        side = in_process("prepare", paths[:count], folder)
        side["opened"] = in_process("open", [], folder / "prepared")
        found[str(count * part)] = side | {"rows_per_second": round(count * part / side["seconds"])}
        shutil.rmtree(folder / "prepared")
        shutil.rmtree(folder / "table")
    return found


def readers_of(folder: Path, paths: list[Path], counts: list[int], rounds: int) -> dict[str, Any]:
    """Prepare the parts by several numbers of readers, in turns; what differs from the first number, by round."""
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    for turn in range(rounds):
        for count in counts if turn % 2 == 0 else reversed(counts):
            side = in_process("prepare", paths, folder, count)
            found[count].append(side | {"reading": side["until"]["reading"]})
            made = folder / f"by-{count}"
            shutil.rmtree(folder / "table")
            shutil.rmtree(made, ignore_errors=True)
            (folder / "prepared").rename(made)
        for count in counts:
            require_same(folder / f"by-{counts[0]}", folder / f"by-{count}")
    sides: dict[str, Any] = {}
    for count, runs in found.items():
        own: dict[str, Any] = {}
        for name in ("reading", "seconds", "processor_seconds"):
            own[name] = round(statistics.median(run[name] for run in runs), 2)
            every = [run[name] / first[name] for run, first in zip(runs, found[counts[0]], strict=True)]
            own[f"{name}_ratio"] = [round(one, 2) for one in (min(every), statistics.median(every), max(every))]
        sides[str(count)] = own
    return {"rounds": rounds, "parts": len(paths), "by readers": sides}


def require_same(one: Path, other: Path) -> None:
    """Check that two folders hold the same bytes."""
    names = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    changed = [name for name in names if not filecmp.cmp(one / name, other / name, shallow=False)]
    if changed:
        sys.exit(f"different files: {changed}")


def logs_of(folder: Path, given: list[int], millions: int = 1_000_000) -> dict[str, Any]:
    """Prepare logs of so many million rows, with histories and with target encodings."""
    found: dict[str, Any] = {}
    for parts in given:
        log = folder / "log"
        log.mkdir()
        paths = [log / f"part-{place:03d}.parquet" for place in range(parts)]
        for place, path in enumerate(paths):
            make_log(place, millions, parts).write_parquet(path)
        own = {}
        for run in ("target_encoding", "histories"):
            own[run] = in_process(run, paths, folder)
            shutil.rmtree(folder / "prepared")
        shutil.rmtree(log)
        times = {run: one["processor_seconds"] for run, one in own.items()}
        found[str(parts * millions)] = own | {"ratio": round(times["histories"] / times["target_encoding"], 2)}
    return found


def projection(found: dict[str, Any], rows: int = 100_000_000) -> dict[str, float]:
    """Seconds that so many rows take, by the last two sizes: what more rows cost goes on."""
    (one, first), (two, last) = list(found.items())[-2:]
    each = (last["seconds"] - first["seconds"]) / (int(two) - int(one))
    return {"rows": rows, "seconds": round(last["seconds"] + each * (rows - int(two)))}


def ratios(found: dict[str, Any], sides: dict[str, Any], part: int) -> dict[str, float]:
    """Rows a second to those of the quickest other side."""
    other = part / min(side["seconds"] for side in sides.values())
    rates = {rows: run["rows_per_second"] for rows, run in found.items()}
    if len(found) > 1:
        (one, first), (two, last) = list(found.items())[-2:]
        rates["further rows"] = (int(two) - int(one)) / (last["seconds"] - first["seconds"])
    return {rows: round(rate / other, 1) for rows, rate in rates.items()}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 2, 4], help="parts to prepare")
    parser.add_argument("--rows", type=int, default=PART, help="of a part")
    parser.add_argument("--distinct", type=int, default=DISTINCT, help="values of the widest columns")
    parser.add_argument("--against", nargs="*", default=["pandas", "pandas_objects"], help="other sides to run")
    parser.add_argument("--where", type=Path, help="a folder for temporary files")
    parser.add_argument("--parts", type=Path, help="a folder for the parts, which stay there, and are not made twice")
    parser.add_argument(
        "--log", type=int, nargs="+", help="prepare logs of so many million rows with histories instead"
    )
    parser.add_argument("--readers", type=int, nargs="+", help="compare so many processes that read instead")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="of one side (used by the parent)")
    parser.add_argument("--run", choices=RUNS, help="run one side here and print its figures (used by the parent)")
    parser.add_argument("--paths", type=Path, nargs="*", default=[])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.run:
        warnings.simplefilter("ignore")
        modules = (
            ("pandas", "sklearn.preprocessing") if given.run.startswith("pandas") else ("automtl.experiment.prepare",)
        )
        work = partial(run_prepare, workers=given.workers) if given.run == "prepare" else RUNS[given.run]
        print(json.dumps(measured(lambda: work(given.paths, given.folder), modules)))
        return
    if given.log:
        with tempfile.TemporaryDirectory(dir=given.where) as name:
            report("prepare-histories", {"prepare": logs_of(Path(name), given.log)}, given.out, ["polars", "numpy"])
        return
    with tempfile.TemporaryDirectory(dir=given.where) as name:
        folder, needed = Path(name), max(given.sizes) * given.rows * ROW_BYTES
        if shutil.disk_usage(folder).free < needed:
            sys.exit(f"{folder} has less than {needed / 2**30:.0f} GiB free; give another folder with --where")
        paths = make_parts(given.parts or folder / "parts", max(given.sizes), given.rows, given.distinct)
        if given.readers:
            figures: dict[str, Any] = {"part_rows": given.rows, "cores": os.cpu_count()}
            figures |= readers_of(folder, paths, given.readers, given.rounds)
            report("prepare-readers", figures, given.out, ["polars", "numpy"])
            return
        found = sizes_of(folder, paths, given.sizes, given.rows)
        sides = {run: in_process(run, paths[:1], folder) for run in given.against}
    figures = {"part_rows": given.rows, "prepare": found, "sides": sides}
    if len(found) > 1:
        figures["projection"] = projection(found)
    if sides and given.sizes[0] == 1:
        figures["pandas"] = ratios(found, sides, given.rows)
    report("prepare", figures, given.out, ["polars", "pandas", "scikit-learn", "numpy"])


if __name__ == "__main__":
    main()
