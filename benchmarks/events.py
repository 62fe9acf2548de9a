"""Events of a served model: how fast stores keep them, what a row costs with them, and a replay through a server.

    python benchmarks/events.py stores
    python benchmarks/events.py scoring
    python benchmarks/events.py replay TABLE MODEL --time time_ms --split split

`stores` compares SQLite with LMDB (`pip install lmdb`) and, where a server is given by --redis, with Redis, in turns:
durable batches of 1, 100 and 1,000 events, and the time to see what is new. `scoring` gives the milliseconds to record
an event and to encode a row, with and without open events. `replay` walks a table in the order of time: each test row
is scored by a real server before it is recorded, and scores and inputs are compared with those of the offline
evaluation, bit by bit. The model must have been fitted on the table; what it knows ends where the test rows begin.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import requests
import torch

import automtl
from automtl.features.histories import HistoryInputs
from automtl.histories.state import State
from automtl.predictor import Predictor
from automtl.serving.online import OnlineHistories
from automtl.serving.online.events import packed
from automtl.serving.online.redis_store import RedisStore
from automtl.serving.online.sqlite_store import SqliteStore

ROUNDS = 5
ROW = {"user_id": 1234567, "item_id": 7654321, "time": 1_700_000_000_000}
EVENT = packed(["0123456789abcdef", ROW, {"click": 1}, None])


class LmdbStore:
    """The store that was not taken: one put a batch, which is synced to the disk."""

    def __init__(self, folder: Path) -> None:
        import lmdb

        self.environment = lmdb.open(str(folder), map_size=1 << 34)

    def append(self, batch: bytes) -> int:
        with self.environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            number = int.from_bytes(cursor.key(), "big") + 1 if cursor.last() else 1
            transaction.put(number.to_bytes(8, "big"), batch)
        return number

    def read(self, after: int) -> list[tuple[int, bytes]]:
        with self.environment.begin() as transaction, transaction.cursor() as cursor:
            if not cursor.set_range((after + 1).to_bytes(8, "big")):
                return []
            return [(int.from_bytes(key, "big"), value) for key, value in cursor]


def seconds_of(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def stores(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        made: dict[str, Any] = {"SQLite": SqliteStore.open(folder / "sqlite"), "LMDB": LmdbStore(folder / "lmdb")}
        if arguments.redis:
            made["Redis"] = RedisStore.open(f"{arguments.redis}/bench{os.getpid()}")
        for size in (1, 100, 1000):
            batch = b"[" + b",".join([EVENT] * size) + b"]"
            found = in_turns(made, lambda store, batch=batch: seconds_of(lambda: store.append(batch), 100))
            show(f"append {size} events", found, size)
        found = in_turns(made, lambda store: seconds_of(partial(store.read, store.append(b"[]")), 2000))
        show("read, nothing new", found, 1)
        show("read all", in_turns(made, lambda store: seconds_of(lambda: store.read(0), 1)), 1)


def in_turns(made: dict[str, Any], measure: Callable[[Any], float]) -> dict[str, list[float]]:
    found = {name: list[float]() for name in made}
    for _ in range(ROUNDS):
        for name, store in made.items():
            found[name].append(measure(store))
    return found


def show(what: str, found: dict[str, list[float]], size: int) -> None:
    medians = {name: statistics.median(one) for name, one in found.items()}
    base = medians["SQLite"]
    for name, median in medians.items():
        print(f"{what:20} {name:7} {median * 1e6:12,.1f} us  {size / median:12,.0f} events/s  {median / base:6.2f}")


def scoring(_: argparse.Namespace) -> None:
    log = automtl.synthetic_log(12_000, users=500, items=300, seed=0).with_row_index("moment")
    quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}, "encoder": {"prune_histories": False}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roles, settings = automtl.ColumnRoles(time="moment"), automtl.read_settings(None, quick)
        automtl.fit_table(log[:4000], ["click", "buy"], roles=roles, settings=settings, out=folder / "model")
        predictor = Predictor.load(folder / "model")
        labels = set(predictor.schema.task_names)
        rows = log[4000:].to_dicts()
        asked = [{name: row[name] for name in row if name not in labels} for row in rows[-300:]]
        events = [{"event_id": str(place), "row": row} for place, row in enumerate(rows)]
        with OnlineHistories.open(folder / "events", predictor) as online:
            times("encode a row, no events", lambda place: predictor.encode_rows([asked[place % 300]]))
            times("record an event", lambda place: online.record([events[place]]))
            times("record 100 events", lambda place: online.record(events[300 + 100 * place : 400 + 100 * place]), 60)
            times("histories()", lambda place: online.histories())
            times("encode a row, online", lambda place: online.predictor(predictor).encode_rows([asked[place % 300]]))
            times("score a row, online", lambda place: online.predictor(predictor).predict_rows([asked[place % 300]]))
            print(f"{online.open_events} events are open")


def times(what: str, work: Callable[[int], object], number: int = 300) -> None:
    found, spent = [], []
    for place in range(number):
        start, begun = time.process_time(), time.perf_counter()
        work(place)
        found.append(time.perf_counter() - begun)
        spent.append(time.process_time() - start)
    half, tail = np.percentile(found, [50, 99]) * 1e3
    print(f"{what:26} p50 {half:8.3f} ms  p99 {tail:8.3f} ms  processor p50 {np.median(spent) * 1e3:8.3f} ms")


def replay(arguments: argparse.Namespace) -> None:
    table = automtl.read_table(arguments.table).sort(arguments.time, maintain_order=True)
    predictor = Predictor.load(arguments.model)
    histories = predictor.encoder.histories
    assert histories is not None
    test = (table[arguments.split] == "test").to_numpy()
    start = int(np.searchsorted(table[arguments.time].to_numpy(), table[arguments.time].to_numpy()[test].min()))
    vocabularies, empty = (
        predictor.encoder.vocabularies,
        histories.__class__(histories.schema, histories.plan, histories.spreads, State.empty(histories.plan)),
    )
    known = predictor.with_histories(empty.updated(table[:start], vocabularies)[0])
    end = table.height if arguments.rows is None else min(table.height, start + arguments.rows)
    rows = table[start:end]
    offline = empty.replayed(rows, table, vocabularies)
    batch = known.encode(rows, table, labels=False)
    fields = [name for name in rows.columns if name not in predictor.schema.task_names]
    moments = rows[arguments.time].to_numpy()
    edges = np.flatnonzero(np.diff(moments, prepend=moments[0] - 1, append=moments[-1] + 1))
    asked = compared = wrong = 0
    spent = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known.save(folder / "model")
        command = [sys.executable, "-m", "automtl", "serve", f"model={folder / 'model'}", "--port", "0"]
        command += ["--events", str(folder / "events")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = re.findall(r"http://\S+", process.stdout.readline())[0] + "/models/model"
            with OnlineHistories.open(folder / "events" / "model", known) as same_events, requests.Session() as session:
                for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                    here = np.flatnonzero(test[start + first : start + last]) + first
                    now = rows[first:last].to_dicts()
                    if len(here):
                        wanted = known.columns(batch.take(torch.from_numpy(here)))
                        body = {
                            "rows": [{name: now[place - first][name] for name in fields} for place in here.tolist()]
                        }
                        begun = time.perf_counter()
                        answer = session.post(f"{address}/predict", data=orjson.dumps(body))
                        spent.append(time.perf_counter() - begun)
                        answer.raise_for_status()
                        scores = answer.json()["scores"]
                        found = {name: np.array([one[name] for one in scores]) for name in wanted}
                        inputs = same_events.histories().of(rows[here], vocabularies)
                        asked += len(here)
                        compared += sum(map(len, wanted.values()))
                        equal = all(np.array_equal(found[name], wanted[name]) for name in wanted)
                        wrong += not (equal and same(inputs, offline.take(here)))
                    events = [{"event_id": str(first + place), "row": row} for place, row in enumerate(now)]
                    session.post(f"{address}/events", data=orjson.dumps({"events": events})).raise_for_status()
            process.terminate()
    half, tail = np.percentile(spent, [50, 99]) * 1e3
    print(f"{asked} test rows, {compared} scores: {wrong} requests whose scores or inputs differ in a bit")
    print(f"{histories.width} inputs of histories a row; a request p50 {half:.1f} ms, p99 {tail:.1f} ms")


def same(found: HistoryInputs, wanted: HistoryInputs) -> bool:
    lists = zip(found.lists, wanted.lists, strict=True)
    return np.array_equal(found.numbers, wanted.numbers) and all(np.array_equal(one, other) for one, other in lists)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("stores")
    one.add_argument("--redis", help="such as redis://127.0.0.1:6379/0")
    one.add_argument("--folder", help="on the disk that is measured")
    one.set_defaults(run=stores)
    commands.add_parser("scoring").set_defaults(run=scoring)
    one = commands.add_parser("replay")
    one.add_argument("table")
    one.add_argument("model")
    one.add_argument("--time", required=True)
    one.add_argument("--split", required=True, help="the column that says 'test'")
    one.add_argument("--rows", type=int, help="of the table from the first test row on; all where nothing is said")
    one.set_defaults(run=replay)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
