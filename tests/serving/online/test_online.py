"""Rows that are scored while events come in have the inputs of a replay, whatever comes when."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.errors import EncodingError, FileError, SettingsError
from automtl.predictor import Predictor
from automtl.serving.online import OnlineHistories, Recorded, online
from tests.serving.online.logs import DELAY, LABELS, behaviour, event, fitted, histories_of, knowing, same, same_state


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return behaviour(240)


@pytest.fixture(scope="module")
def model(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fitted(tmp_path_factory.mktemp("model") / "model", log[:200])


def posts(number: int, row: dict[str, Any], rng: np.random.Generator) -> list[tuple[int, dict[str, Any]]]:
    """Return what a client sends of a row, in parts, each with the last moment at which it may."""
    if rng.random() < 0.3:
        return [(row["moment"], event(number, row))]
    found = [(row["moment"], event(number, row, labels=False))]
    for name in LABELS:
        last = row["moment"] + (rng.integers(0, DELAY + 1) if name == "buy" else 0)
        if row[name] is not None:
            found.append((int(last), {"event_id": f"e{number}", "labels": {name: row[name]}, "time": int(last)}))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_inputs_are_those_of_a_replay(
    log: pl.DataFrame, model: Predictor, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(online, "UNSORTED", int(rng.choice([7, 50, 10_000])))
    monkeypatch.setattr(online, "BATCHES", int(rng.choice([3, 20, 10_000])))
    first = int(rng.choice([0, 120, 187]))
    known = knowing(model, log[:first])
    wait = str(rng.choice(["0s", "1000s"]))
    servers = [OnlineHistories.open(tmp_path / "events", known, wait=wait) for _ in range(2)]
    due = [
        (at, rng.random(), post)
        for number in range(first, 240)
        for at, post in posts(number, log.row(number, named=True), rng)
    ]
    due.sort(key=lambda one: one[:2])
    counts = Recorded()
    for moment in log["moment"][first:].unique(maintain_order=True):
        now = log[first:].filter(pl.col("moment") == moment)
        while due and due[0][0] < moment:
            size = int(rng.integers(1, 6))
            batch = [due.pop(0)[2] for _ in range(size) if due and due[0][0] < moment]
            counts += servers[rng.integers(2)].record(batch)
            if rng.random() < 0.1:
                again = servers[rng.integers(2)].record(batch)
                assert again.events == again.labels == 0
            if rng.random() < 0.02:
                place = int(rng.integers(2))
                servers[place].close()
                servers[place] = OnlineHistories.open(tmp_path / "events", known, wait=wait)
                servers[place].save()
        asked = now if rng.random() < 0.5 else now.drop(LABELS)  # labels of a row that is asked say nothing
        histories = servers[rng.integers(2)].histories()
        found = histories.of(asked, model.encoder.vocabularies)
        assert same(found, histories_of(known).replayed(now, log, model.encoder.vocabularies))
    servers[0].record([post for _, _, post in due])
    assert counts.late == counts.untimed == counts.late_labels == 0
    for one in servers:
        assert same_state(one.state(), histories_of(knowing(model, log)).state)
        one.close()


def test_threads_record_at_once_and_each_gets_its_own_answer(
    log: pl.DataFrame, model: Predictor, tmp_path: Path
) -> None:
    known = knowing(model, log[:120])
    rows = [event(number, log.row(number, named=True)) for number in range(120, 220)]
    bad = {"event_id": "bad", "row": {"user": 1}}
    with OnlineHistories.open(tmp_path, known) as online, ThreadPoolExecutor(16) as pool:
        pairs = [pool.submit(online.record, [one, other]) for one, other in pairwise(rows)]
        wrong = [pool.submit(online.record, [rows[0], bad]) for _ in range(5)]
        counts = sum((one.result() for one in pairs), Recorded())
        assert (counts.events, counts.repeated) == (100, 98)
        assert all(isinstance(one.exception(), EncodingError) for one in wrong)
        last = log[-1:].with_columns(moment=pl.col("moment") + 10_000)
        found = online.histories().of(last, model.encoder.vocabularies)
        assert same(found, histories_of(known).replayed(last, log[:220], model.encoder.vocabularies))


def test_posts_that_wait_are_kept_together(log: pl.DataFrame, model: Predictor, tmp_path: Path) -> None:
    rows = [event(number, log.row(number, named=True)) for number in range(16)]
    with OnlineHistories.open(tmp_path, model) as online, ThreadPoolExecutor(16) as pool:
        with online._lock:
            waiting = [pool.submit(online.record, [row]) for row in rows]
            while len(online._posts) < len(rows):
                time.sleep(0.01)
        assert [one.result().events for one in waiting] == [1] * 16
        assert len(online._store.read(0)) == 1


def test_what_cannot_be_kept_is_not_counted(
    log: pl.DataFrame, model: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OnlineHistories.open(tmp_path, model) as online:
        online._close()
        with pytest.raises(FileError, match="events"):
            online.record([event(1, log.row(1, named=True))])
        assert online.open_events == 0


def test_events_that_count_no_more_are_told(log: pl.DataFrame, model: Predictor, tmp_path: Path) -> None:
    known, row = knowing(model, log[:120]), log.row(150, named=True) | {"click": 1, "buy": None, "play": None}
    early = row | {"moment": int(log["moment"][0]) - 1}
    with OnlineHistories.open(tmp_path, known) as online:
        assert online.record([event(1, early)]) == Recorded(late=1)
        assert online.record([event(2, row | {"moment": None})]) == Recorded(untimed=1)
        assert online.record([{"event_id": "e3", "labels": {"buy": 1}}]) == Recorded(waiting=1)
        assert online.record([event(3, row)]) == Recorded(events=1) and online.waiting == 0
        assert online.record([event(3, row), {"event_id": "e3", "labels": {"buy": 1}}]) == Recorded(repeated=2)
        soon, late = row["moment"] + DELAY, row["moment"] + DELAY + 1
        assert online.record([{"event_id": "e3", "labels": {"buy": 0}, "time": soon}]) == Recorded(labels=1)
        assert online.record([{"event_id": "e3", "labels": {"buy": 1}, "time": late}]) == Recorded(
            labels=1, late_labels=1
        )


def test_models_without_histories_are_refused(model: Predictor, tmp_path: Path) -> None:
    frozen = replace(histories_of(model), plan=replace(histories_of(model).plan, frozen=True))
    for histories in (None, frozen):
        other = replace(model, encoder=replace(model.encoder, histories=histories))
        with pytest.raises(SettingsError, match="no histories that events could change"):
            OnlineHistories.open(tmp_path, other)
