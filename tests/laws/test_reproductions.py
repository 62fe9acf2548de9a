"""What every reproduction of the paper obeys; all run on one small log, with the real parts, and share their trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from automtl.comparison.candidates import CandidateResult
from automtl.comparison.compare import ComparisonSettings
from automtl.comparison.result_store import ResultStore
from automtl.comparison.scheduler import ComparisonProgress
from automtl.comparison.summary import Comparison
from automtl.config import Settings, make_settings
from automtl.paper import REPRODUCTIONS, Reproduced, Reproduction, reproduce
from automtl.paper.run import write_reproduction
from automtl.system.progress import Event
from automtl.tables.schema import Schema
from tests.conftest import TASKS, TINY
from tests.report.page import Page

SMALL: dict[str, Any] = TINY | {
    "space": {"experts": 2, "layers": 1, "expert_layers": ["skip", "mlp-16"], "poolings": ["sum", "linear"],
              "interactions": ["skip", "bit-gate"], "keep": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "search": {**TINY["search"], "min_steps": 6, "pretrained_embedding": False},
    "presets": [{"name": "ids only", "encoder": {"target_encoding": False}}],
    "selection": {"boosted_trees": "one"},
    "trees": {"rounds": 5},
}  # fmt: skip
KEYS = {
    "format", "automtl", "table", "seeds", "trials", "reproduction", "title", "paper", "note", "failed", "sentences",
}  # fmt: skip
every = pytest.mark.parametrize("reproduction", REPRODUCTIONS.values(), ids=list(REPRODUCTIONS))
_done: dict[str, tuple[Reproduced, list[ComparisonProgress]]] = {}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return make_settings(SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _done.clear()
    return tmp_path_factory.mktemp("paper")


def progress_of(events: list[Event]) -> list[ComparisonProgress]:
    return [event for event in events if isinstance(event, ComparisonProgress)]


def run(
    reproduction: Reproduction, log: pl.DataFrame, settings: Settings, out: Path
) -> tuple[Reproduced, list[ComparisonProgress]]:
    heard: list[Event] = []
    chosen = ComparisonSettings(settings=settings, seeds=2, trials=1, jobs=1)
    made = reproduce(reproduction, log.head(800), TASKS, settings=chosen, out=out, callback=heard.append)
    return made, progress_of(heard)


@pytest.fixture
def made(reproduction: Reproduction, log: pl.DataFrame, settings: Settings, folder: Path) -> Reproduced:
    """Each once, in one folder."""
    if reproduction.name not in _done:
        _done[reproduction.name] = run(reproduction, log, settings, folder)
    return _done[reproduction.name][0]


@every
def test_plain_values_say_what_was_run_and_what_came_out(reproduction: Reproduction, made: Reproduced) -> None:
    values = json.loads(made.files[0].read_text(), parse_constant=pytest.fail)
    assert made.files[0].name == f"{reproduction.name}.json"
    assert set(values) >= KEYS
    assert values["sentences"]
    assert values["failed"] == {}
    assert values["seeds"] == [0, 1]


@every
def test_tables_have_a_cell_for_every_column(reproduction: Reproduction, made: Reproduced) -> None:
    assert made.tables
    assert all(len(row) == len(header) for _, header, rows in made.tables for row in rows)
    assert all(rows for _, _, rows in made.tables)


@every
def test_page_and_pictures_are_well_formed_and_need_nothing_else(reproduction: Reproduction, made: Reproduced) -> None:
    text = made.files[1].read_text()
    page = Page(text)
    assert reproduction.paper in " ".join(page.words)
    assert len(page.ids()) == len(set(page.ids()))
    assert "script" not in {tag for tag, _ in page.seen}
    pictures = [path for path in made.files if path.suffix == ".svg"]
    assert len(pictures) == sum(tag == "figure" for tag, _ in page.seen) > 0
    for path in pictures:
        assert path.name.startswith(f"{reproduction.name}-")
        ElementTree.parse(path)


@every
def test_a_second_run_repeats_no_trial_and_writes_the_same(
    reproduction: Reproduction, made: Reproduced, log: pl.DataFrame, settings: Settings, folder: Path
) -> None:
    before = {path: path.read_bytes() for path in made.files}
    results = {path: path.stat().st_mtime_ns for path in (folder / "results").iterdir()}
    again, heard = run(reproduction, log, settings, folder)
    assert [progress.ended for progress in heard if progress.ended] == []
    assert {path: path.stat().st_mtime_ns for path in (folder / "results").iterdir()} == results
    assert {path: path.read_bytes() for path in again.files} == before


@every
def test_candidates_that_failed_are_named_with_their_message(reproduction: Reproduction, tmp_path: Path) -> None:
    entry = {"searched": True, "seeds": [], "tuning": {"chosen": None, "trials": []}, "failed": "no <luck>"}
    results = [CandidateResult(one.name, entry) for one in reproduction.candidates(Settings())]
    header = {
        "format": 1,
        "automtl": "0",
        "seeds": [0],
        "trials": 1,
        "fields": [],
        "table": {"name": "log", "rows": {"train": 1}},
    }
    schema = Schema.from_dict({"fields": [{"name": "a", "kind": "categorical"}], "tasks": [{"name": "click"}]})
    made = write_reproduction(
        reproduction, Comparison(Settings(), schema, header, results, ResultStore(tmp_path)), tmp_path
    )
    assert Page(made.files[1].read_text()).words.count("no <luck>") == len(results)
    assert made.values["failed"].keys() == {result.name for result in results}


def test_reproductions_in_one_folder_share_their_trials(log: pl.DataFrame, settings: Settings, folder: Path) -> None:
    for name in ("TABLE3", "TABLE4", "FIGURE6"):
        if name not in _done:
            _done[name] = run(REPRODUCTIONS[name], log, settings, folder)
    assert any(progress.ended for progress in _done["TABLE3"][1])
    assert not any(progress.ended for name in ("TABLE4", "FIGURE6") for progress in _done[name][1])


def test_an_interrupted_reproduction_goes_on_where_it_stopped(
    log: pl.DataFrame, settings: Settings, tmp_path: Path
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, ComparisonProgress) and event.ended:
            raise KeyboardInterrupt

    figure, rows, heard = REPRODUCTIONS["FIGURE3"], log.head(800), list[Event]()
    chosen = ComparisonSettings(settings=settings, seeds=1, jobs=1)
    with pytest.raises(KeyboardInterrupt):
        reproduce(figure, rows, TASKS, settings=chosen, out=tmp_path, callback=stop)
    assert not (tmp_path / "FIGURE3.json").exists()
    reproduce(figure, rows, TASKS, settings=chosen, out=tmp_path, callback=heard.append)
    assert [progress.ended for progress in progress_of(heard) if progress.ended] == ["no-auxiliary-loss search 0"]
    assert (tmp_path / "FIGURE3.json").exists()
