"""Events of a server become part of the model's folder, and servers go on with both."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from automtl.errors import FileError, SettingsError
from automtl.predictor import Predictor
from automtl.serving.online import OnlineHistories
from automtl.serving.online.snapshots import LENGTH
from automtl.serving.online.store import open_store
from tests.serving.online.logs import DELAY, LABELS, behaviour, event, fitted, histories_of, knowing, same, same_state
from tests.test_cli import call


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return behaviour(240)


@pytest.fixture(scope="module")
def known(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return knowing(fitted(tmp_path_factory.mktemp("model") / "whole", log[:200]), log[:150])


def events(log: pl.DataFrame, start: int, end: int) -> list[dict[str, object]]:
    return [event(number, log.row(number, named=True)) for number in range(start, end)]


def test_the_folder_then_knows_the_events_and_servers_go_on(
    log: pl.DataFrame, known: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, where = tmp_path / "model", tmp_path / "events"
    known.save(model)
    running = OnlineHistories.open(where, Predictor.load(model))
    running.record(events(log, 150, 200))
    running.record([{"event_id": "e220", "labels": {"click": 1}}])
    before = {path.name for path in model.iterdir()}
    assert call("update", str(model), "--events", str(where)) == 0
    assert "50 events may still change" in capsys.readouterr().err
    updated = Predictor.load(model)
    assert {path.name for path in model.iterdir()} == before
    assert same_state(histories_of(updated).state, histories_of(knowing(known, log[:200])).state)
    last = log[-1:].with_columns(moment=pl.col("moment") + 10_000).drop(LABELS)
    with OnlineHistories.open(where, updated) as again:
        assert running.waiting == again.waiting == 1
        for one, start in ((running, 200), (again, 210)):
            assert one.record(events(log, start - 10, start + 10)).repeated == 10
        for one in (running, again):
            found = one.histories().of(last, known.encoder.vocabularies)
            assert same(found, histories_of(known).replayed(last, log[:220], known.encoder.vocabularies))
    running.close()


def test_another_model_takes_open_events_and_refuses_to_forget_others(
    log: pl.DataFrame, known: Predictor, tmp_path: Path
) -> None:
    other = knowing(known, log[:170])
    with OnlineHistories.open(tmp_path, known) as online:
        online.record(events(log, 150, 200))
        online.save()
    last = log[-1:].with_columns(moment=pl.col("moment") + 10_000).drop(LABELS)
    with OnlineHistories.open(tmp_path, other) as online:
        late = log[170:200].filter(pl.col("moment") >= log["moment"][169])
        assert late.height == 30
        found = online.histories().of(last, known.encoder.vocabularies)
        assert same(found, histories_of(known).replayed(last, log[:200], known.encoder.vocabularies))
    with OnlineHistories.open(tmp_path, known, wait="0s", most=1) as online:
        online._ledger.raise_floor((int(log["moment"][199]) + DELAY) * 1_000_000)
        online.record(events(log, 200, 201))
        online.save()
    with pytest.raises(SettingsError, match="another model"):
        OnlineHistories.open(tmp_path, other)


def test_a_damaged_snapshot_is_named(known: Predictor, tmp_path: Path) -> None:
    with OnlineHistories.open(tmp_path, known) as online:
        online.record(events(behaviour(240), 150, 151))
        online.save()
    store = open_store(tmp_path)
    number, content = store.snapshot() or (0, b"")
    store.save_snapshot(number + 1, content[: LENGTH + 40])
    store.close()
    with pytest.raises(FileError, match="snapshot of the events is damaged"):
        OnlineHistories.open(tmp_path, known)


def test_a_table_or_events_are_given(known: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known.save(tmp_path / "model")
    assert call("update", str(tmp_path / "model")) == 2
    assert "--events" in capsys.readouterr().err
