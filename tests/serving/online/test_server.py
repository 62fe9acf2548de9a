"""A real server takes events in, scores by them at once, and loses none that it has acknowledged."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.serving.online import OnlineHistories
from tests.genuine import genuine
from tests.serving.online.logs import LABELS, SETTINGS, behaviour, event, fitted, histories_of, knowing, same
from tests.serving.online.test_stores import redis_address as redis_address
from tests.serving.server.conftest import Running, serving
from tests.serving.server.conftest import folder as folder
from tests.serving.server.conftest import server as server

pytest.importorskip("fastapi")
FIRST = 150  # rows that the model knows


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return behaviour(240)


@pytest.fixture(scope="module")
def known(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return knowing(fitted(tmp_path_factory.mktemp("model") / "whole", log[:200]), log[:FIRST])


@pytest.fixture(scope="module")
def model(known: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    known.save(folder / "moods")
    return folder / "moods"


def plain(table: pl.DataFrame) -> list[dict[str, Any]]:
    return table.drop(LABELS, strict=False).to_dicts()


def posts(log: pl.DataFrame, start: int, end: int) -> dict[str, Any]:
    return {"events": [event(number, log.row(number, named=True)) for number in range(start, end)]}


def asked(server: Running, rows: Sequence[dict[str, Any]], **more: Any) -> dict[str, np.ndarray]:
    answer = server.post("/models/moods/predict", {"rows": list(rows), **more})
    assert answer.status_code == 200, answer.text
    scores = answer.json()["scores"]
    return {name: np.array([one[name] for one in scores]) for name in scores[0]}


def replayed(known: Predictor, rows: pl.DataFrame, log: pl.DataFrame) -> dict[str, np.ndarray]:
    return known.columns(known.encode(rows, log, labels=False))


def equal(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in found)


def test_scores_are_those_of_a_replay_and_no_acknowledged_event_is_lost(
    log: pl.DataFrame, known: Predictor, model: Path, tmp_path: Path
) -> None:
    last = log[-1:].with_columns(moment=pl.col("moment") + 10_000)
    with serving(model, "--events", tmp_path) as server:
        before = asked(server, plain(last))
        assert server.post("/models/moods/events", posts(log, FIRST, 200)).json()["events"] == 50
        assert equal(asked(server, plain(last)), replayed(known, last, log[:200]))
        assert not equal(before, replayed(known, last, log[:200]))
        assert server.post("/models/moods/events", posts(log, 200, 220)).status_code == 200
        server.stop(signal.SIGKILL)
    with serving(model, "--events", tmp_path) as server:
        assert equal(asked(server, plain(last)), replayed(known, last, log[:220]))
        again = server.post("/models/moods/events", posts(log, 190, 225)).json()
        assert (again["events"], again["repeated"]) == (5, 30)
        assert equal(asked(server, plain(last)), replayed(known, last, log[:225]))
        assert server.get("/models/moods/events").json()["open"] == 75


@pytest.fixture(scope="module")
def taking(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(model, "--events", tmp_path_factory.mktemp("events")) as running:
        yield running


def test_a_scored_row_may_be_recorded_and_its_labels_come_later(
    log: pl.DataFrame, known: Predictor, taking: Running
) -> None:
    later = log[-1:].with_columns(moment=pl.col("moment") + 10_000)
    asked(taking, plain(log[FIRST : FIRST + 3]), record=["a", "b", "c"])
    unlabelled = log[FIRST : FIRST + 3].with_columns(pl.lit(None).alias(name) for name in LABELS)
    unknown = pl.concat([log[:FIRST], unlabelled], how="vertical_relaxed")
    assert equal(asked(taking, plain(later)), replayed(known, later, unknown))
    labels = [
        {"event_id": name, "labels": {one: row[one] for one in LABELS if row[one] is not None}}
        for name, row in zip("abc", log[FIRST : FIRST + 3].iter_rows(named=True), strict=True)
    ]
    assert taking.post("/models/moods/events", {"events": labels}).json()["labels"] == 3
    assert equal(asked(taking, plain(later)), replayed(known, later, log[: FIRST + 3]))


def test_bad_events_are_refused_as_a_whole_and_named(log: pl.DataFrame, taking: Running) -> None:
    good = event(1, log.row(FIRST, named=True))
    before = taking.get("/models/moods/events").json()
    for bad, message in (
        ({"event_id": "x", "row": {"user": 1}}, "event 2 ('x'): its row has no 'item'"),
        ({"event_id": "x", "labels": {"clik": 1}}, "'clik' is no label; did you mean 'click'"),
        ({"event_id": "", "row": {}}, "'event_id' is ''"),
        ({"event_id": "x"}, "neither 'row' nor 'labels'"),
        ({"event_id": "x", "labels": {"play": "loud"}}, "'play'"),
        ({"event_id": "x", "labels": {"click": 7}}, "'click'"),
        (7, "event 2 is no mapping"),
        ({"event_id": "x", "row": good["row"] | {"moment": "soon"}}, "moment"),
        ({"event_id": "x", "row": good["row"] | {"click": 5}}, "click"),
    ):
        answer = taking.post("/models/moods/events", {"events": [good, bad]})
        assert answer.status_code == 422 and message in answer.json()["error"], answer.text
    assert taking.post("/models/moods/events", {"rows": []}).status_code == 422
    assert taking.post("/models/moods/predict", {"rows": [good["row"]], "record": []}).status_code == 422
    assert taking.get("/models/moods/events").json() == before


def test_a_server_without_a_place_for_events_says_so(server: Running) -> None:
    answer = server.post("/models/shop/events", {"events": [{"event_id": "a", "row": {}}]})
    assert answer.status_code == 409 and "--events" in answer.json()["error"]


def test_servers_share_the_events_of_one_redis(
    log: pl.DataFrame, known: Predictor, model: Path, redis_address: str, tmp_path: Path
) -> None:
    last, where = log[-1:].with_columns(moment=pl.col("moment") + 10_000), f"{redis_address}/{tmp_path.name}"
    with serving(model, "--events", where) as one, serving(model, "--events", where) as other:
        for place, start in enumerate(range(FIRST, 190, 10)):
            writer, reader = (one, other) if place % 2 else (other, one)
            assert writer.post("/models/moods/events", posts(log, start, start + 10)).json()["events"] == 10
            assert equal(asked(reader, plain(last)), replayed(known, last, log[: start + 10]))


@pytest.fixture(scope="module")
def kuairand() -> pl.DataFrame:
    unused = ["is_follow", "is_comment", "is_forward", "is_hate", "date", "hourmin", "play_time_ms"]
    table = pl.read_parquet(genuine("kuairand.parquet")).drop(unused, "profile_stay_time", "comment_stay_time")
    return table.sort("time_ms", maintain_order=True)


TASKS = ["is_click", "long_view", "is_like", "is_profile_enter"]


def test_test_rows_of_kuairand_have_the_inputs_and_scores_of_the_offline_evaluation(
    kuairand: pl.DataFrame, tmp_path: Path
) -> None:
    train, split = kuairand.filter(pl.col("split") != "test"), kuairand["split"] == "test"
    roles = ColumnRoles(time="time_ms", label_delay="0s", drop=["split"])
    fit_table(train[-2000:], TASKS, roles=roles, settings=make_settings(SETTINGS), out=tmp_path / "whole")
    start = int(split.arg_max() or 0) + 3000  # from there on all are test rows
    known = knowing(Predictor.load(tmp_path / "whole"), kuairand[:start])
    known.save(tmp_path / "moods")
    rows = kuairand[start : start + 60]
    batch = known.encode(rows, kuairand, labels=False)
    wanted = histories_of(known).replayed(rows, kuairand, known.encoder.vocabularies)
    fields = [name for name in rows.columns if name not in TASKS]
    with (
        serving(tmp_path / "moods", "--events", tmp_path / "events") as server,
        OnlineHistories.open(tmp_path / "events" / "moods", known) as same_events,
    ):
        moments = rows["time_ms"].to_numpy()
        edges = np.flatnonzero(np.diff(moments, prepend=-1, append=-1))
        for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            now = rows[first:end]
            found = asked(server, now.select(fields).to_dicts())
            assert equal(found, known.columns(batch.take(torch.arange(first, end))))
            inputs = same_events.histories().of(now, known.encoder.vocabularies)
            assert same(inputs, wanted.take(slice(first, end)))
            events = [{"event_id": str(first + place), "row": row} for place, row in enumerate(now.to_dicts())]
            assert server.post("/models/moods/events", {"events": events}).json()["events"] == end - first
