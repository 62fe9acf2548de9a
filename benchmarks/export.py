"""Scoring of an exported model by ONNX Runtime against the same model here, in turns, on the rows of a table.

Encoded rows: `Predictor.scores` against a graph from encoded inputs to scores, for the whole model and for each of its
members alone. Raw rows: `Predictor.predict` of a data frame against `automtl export`'s graph; what the client does to
send the rows (texts of ids) is left out, and timed by itself. Both go by batches of `--batch` rows in ONNX Runtime.

`floor`: processor time over that of the arithmetic of the networks alone, at the speed of one large matrix product in
the same turns; trees and look-ups have no such floor. One row: the median latency of `Predictor.scores` of an encoded
row, of `Predictor.predict_rows`, and of ONNX Runtime for both.

Ratios are of processor time (all threads of the process), so that other work on the machine counts little; wall time
is printed beside them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.utils.flop_counter import FlopCounterMode

from automtl.ensemble.ensemble import Ensemble
from automtl.ensemble.spec import ModelSpec
from automtl.features.batch import Batch
from automtl.predictor import Predictor
from automtl.serving.export.check import session_of
from automtl.serving.export.feed import Feed
from automtl.serving.export.onnx_file import onnx_model, scorer_model, serialized
from automtl.tables.table import read_table
from common import arguments, report


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", type=Path, help="a saved model")
    parser.add_argument("table", type=Path, help="rows to score")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table, repeated as often as needed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=512, help="rows that ONNX Runtime scores at a time")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    chosen = parser.parse_args()
    predictor = Predictor.load(chosen.model)
    table = read_table(chosen.table)
    table = pl.concat([table] * -(-chosen.rows // table.height)).head(chosen.rows)
    table = table.drop(name for name in predictor.schema.task_names if name in table.columns)
    batch = predictor.encoder.encode(table, labels=False)
    found: dict[str, Any] = {}
    for threads in chosen.threads:
        torch.set_num_threads(threads)
        for name, one in members(predictor).items():
            session = session_of(serialized(scorer_model(one)), threads)
            runs = {
                "here": lambda one=one: scored(one, batch),
                "onnx": in_batches(session, encoded(batch), chosen.batch),
            }
            found[f"{name}, {threads} threads"] = measured(
                f"{name}, encoded", runs, chosen, threads, arithmetic(one, batch)
            )
        found[f"raw, {threads} threads"] = raw(predictor, table, chosen, threads)
    found["one row"] = one_row(predictor, table, batch)
    report("export", found, chosen.out)


def members(predictor: Predictor) -> dict[str, Predictor]:
    """The model, and each member of an ensemble as a model of its own."""
    found = {"whole model": predictor}
    if isinstance(predictor.network, Ensemble):
        for spec, model in zip(predictor.spec.members, predictor.network.members, strict=True):
            encoder = spec.encoder(predictor.encoder)
            if encoder.layout == predictor.encoder.layout:
                found[f"{spec.name} ({spec.model})"] = replace(predictor, spec=ModelSpec((spec,)), network=model)
    return found


def scored(predictor: Predictor, batch: Batch) -> list[np.ndarray]:
    """The scores of all tasks."""
    scores = predictor.scores(batch)
    return [scores(place) for place in range(len(predictor.schema.tasks))]


def encoded(batch: Batch) -> dict[str, np.ndarray]:
    """The inputs of a graph of encoded inputs."""
    lists = {f"list.{place}": ids.numpy().astype(np.int64) for place, ids in enumerate(batch.features.multi)}
    ids = batch.features.categorical.numpy().astype(np.int64)
    return {"categorical": ids, "numeric": batch.features.numeric.numpy(), **lists}


def in_batches(session: Any, feed: dict[str, np.ndarray], size: int) -> Callable[[], list[np.ndarray]]:
    """A run over all rows, some at a time."""
    names = [one.name for one in session.get_inputs()]
    rows = len(next(iter(feed.values())))

    def run() -> list[np.ndarray]:
        parts = [
            session.run(None, {name: feed[name][start : start + size] for name in names})
            for start in range(0, rows, size)
        ]
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    return run


def raw(predictor: Predictor, table: pl.DataFrame, chosen: Any, threads: int) -> dict[str, float]:
    """From a data frame, and from the arrays that a client sends, to scores."""
    model, columns = onnx_model(predictor, {})
    histories = None if predictor.encoder.histories is None else predictor.encoder.histories.of(
        table, predictor.encoder.vocabularies
    )  # fmt: skip
    start = time.process_time()
    source = Feed(predictor.encoder, table, histories)
    feed = {name: source.of(one) for name, one in columns.inputs.items()}
    print(f"the client's arrays: {time.process_time() - start:.2f} s of processor time", flush=True)
    session = session_of(serialized(model), threads)
    runs = {
        "here": lambda: predictor.predict(table, allow_unknown=True),
        "onnx": in_batches(session, feed, chosen.batch),
    }
    return measured("raw rows", runs, chosen, threads)


def arithmetic(predictor: Predictor, batch: Batch) -> float:
    """Floating-point operations of the networks' products a row."""
    few = batch.take(slice(0, 512))
    with FlopCounterMode(display=False) as counter:
        scored(predictor, few)
    return counter.get_total_flops() / len(few)


def ceiling(size: int = 1024, tries: int = 8) -> float:
    """Floating-point operations a second of processor time, of large products."""
    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    torch.mm(a, b, out=out)
    start = time.process_time()
    for _ in range(tries):
        torch.mm(a, b, out=out)
    return tries * 2 * size**3 / (time.process_time() - start)


def one_row(predictor: Predictor, table: pl.DataFrame, batch: Batch, calls: int = 1000) -> dict[str, float]:
    """Median milliseconds of one row at a time, in one thread."""
    torch.set_num_threads(1)
    known = predictor.encoder.histories
    histories = None if known is None else known.of(table.head(1), predictor.encoder.vocabularies)
    model, columns = onnx_model(predictor, {})
    inner, outer = session_of(serialized(scorer_model(predictor))), session_of(serialized(model))
    first, source = batch.take(slice(0, 1)), Feed(predictor.encoder, table.head(1), histories)
    few, feed = encoded(first), {name: source.of(one) for name, one in columns.inputs.items()}
    row = table.row(0, named=True)
    runs = {
        "encoded, here": lambda: scored(predictor, first),
        "encoded, onnx": lambda: inner.run(None, few),
        "raw, here": lambda: predictor.predict_rows([row], allow_unknown=True),
        "raw, onnx": lambda: outer.run(None, feed),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(calls):
        for name, run in runs.items():
            start = time.thread_time()
            run()
            times[name].append(time.thread_time() - start)
    found = {name: round(1000 * statistics.median(seconds), 3) for name, seconds in times.items()}
    print(f"one row, milliseconds of processor time: {found}", flush=True)
    return found


def measured(
    what: str, runs: dict[str, Callable[[], Any]], chosen: Any, threads: int, flop: float = 0.0
) -> dict[str, float]:
    """Time runs in turns, and compare their scores. `flop`: operations of a row."""
    floors = []
    processor: dict[str, list[float]] = {name: [] for name in runs}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for _ in range(chosen.rounds):
        floors.append(chosen.rows * flop / ceiling())
        for name, run in runs.items():
            begun, start = time.perf_counter(), time.process_time()
            results[name] = run()
            processor[name].append(time.process_time() - start)
            wall[name].append(time.perf_counter() - begun)
    apart = max(np.abs(a - b).max() for a, b in zip(map(np.asarray, results["here"]), results["onnx"], strict=False))
    ratios = {
        kind: round(statistics.median(a / b for a, b in zip(times["here"], times["onnx"], strict=True)), 2)
        for kind, times in (("processor", processor), ("wall", wall))
    }
    speeds = {name: round(chosen.rows / statistics.median(seconds)) for name, seconds in processor.items()}
    over = {
        name: statistics.median(a / b for a, b in zip(processor[name], floors, strict=True)) for name in runs if flop
    }
    if over:
        ratios |= {f"floor_{name}": round(value, 2) for name, value in over.items()}
    print(
        f"{what}, {threads} threads: here {speeds['here']:,}, ONNX Runtime {speeds['onnx']:,} rows a second of "
        f"processor time; {ratios}; scores differ by {apart:.1g}",
        flush=True,
    )
    return ratios | speeds


if __name__ == "__main__":
    main()
