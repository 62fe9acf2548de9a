"""The steps of an experiment, one by one and together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from automtl.config import Settings
from automtl.dataset.store import data_loader
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, EncodedSource, Experiment, fit_table, open_source
from automtl.system.progress import Event, Progress

ROLES = ColumnRoles(drop=("like", "cart"))


@pytest.fixture
def source(log: pl.DataFrame, tiny: Settings) -> Iterator[EncodedSource]:
    rows, _ = open_source(log, ["click", "buy"], ROLES, None, tiny, 0)
    with data_loader(tiny.data_loader) as loader:
        yield EncodedSource(rows, loader)


@pytest.fixture
def small(tiny: Settings) -> Settings:
    return replace(tiny, presets=tiny.presets[:1], trees=replace(tiny.trees, rounds=5))


def stages(events: list[Event]) -> list[str]:
    return list(dict.fromkeys(event.stage.split(":")[0] for event in events if isinstance(event, Progress)))


def test_a_step_runs_those_before_it_and_a_fit_is_all_of_them(
    source: EncodedSource, log: pl.DataFrame, small: Settings
) -> None:
    events: list[Event] = []
    experiment = Experiment(source, small, 0, events.append)
    experiment.ensemble()
    experiment.train_on_all_rows()
    steps = ["choosing inputs", "training boosted trees", "search", "training automtl"]
    assert [stage for stage in stages(events) if stage in steps] == steps
    found, run = experiment.evaluate(), fit_table(log, ["click", "buy"], roles=ROLES, settings=small)
    assert {part: run.metrics[part] for part in found} == found
    assert {
        name: run.history[name] for name in experiment.history
    } == experiment.history and run.predictor.spec == experiment.predictor.spec
    assert experiment.parameters == run.metrics["parameters"]
    assert experiment.flops_per_row == run.metrics["flops_per_row"] > 0


def test_a_given_architecture_is_trained_without_search_or_reference(source: EncodedSource, small: Settings) -> None:
    alone = replace(small, ensemble=False)
    searched, events = Experiment(source, alone, 0), list[Event]()
    architecture = searched.search().architecture
    given = Experiment(source, alone, 0, events.append, architecture=architecture)
    assert given.evaluate() == searched.evaluate()
    assert stages(events) == ["training automtl"] and given.seconds["search"] == given.seconds["reference"] == 0


def test_test_rows_are_not_read_for_validation_metrics_and_are_read_once(
    source: EncodedSource, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = EncodedSource.test
    monkeypatch.setattr(EncodedSource, "test", lambda self, rows: read.append(1) or whole(self, rows))
    ids_only = replace(small, model="mmoe", ensemble=True, presets=(Settings().presets[2],))
    experiment = Experiment(source, ids_only, 0)
    assert set(experiment.evaluate(["validation"])) == {"validation"} and not read
    experiment.evaluate(["test"])
    experiment.ensemble()
    experiment.evaluate(["test"])
    every = experiment.rows.encoder.layout.num_numeric
    assert experiment.test_rows.features.numeric.shape[1] == every and len(read) == 1
    assert experiment.trained.spec.encoder(experiment.rows.encoder).layout.num_numeric < every


def test_experiments_share_encoded_rows_with_and_without_target_encoding(
    source: EncodedSource, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Any] = []
    whole = type(source.source).encode
    monkeypatch.setattr(type(source.source), "encode", lambda *given: encoded.append(given) or whole(*given))
    alone = replace(tiny, model="mmoe")
    inputs = [Experiment(source, replace(alone, presets=(one,))).select_inputs() for one in tiny.presets]
    assert len(encoded) == 1 and inputs[0].rows is inputs[1].rows
    assert inputs[2].rows.encoder.layout.num_numeric < inputs[0].rows.encoder.layout.num_numeric
    other = replace(alone, encoder=replace(tiny.encoder, bins=0), presets=tiny.presets[:1])
    Experiment(source, other).select_inputs()
    assert len(encoded) == 2 and len(source.kept) == 1
    source.num_kept = None
    Experiment(source, replace(alone, presets=tiny.presets[:1])).select_inputs()
    assert len(encoded) == 3 and len(source.kept) == 2


def test_a_published_model_has_nothing_to_search(source: EncodedSource, small: Settings) -> None:
    with pytest.raises(SettingsError, match="model 'mmoe' has no architecture to search"):
        Experiment(source, replace(small, model="mmoe"), 0).search()


def test_a_preset_of_an_unknown_setting_is_named(source: EncodedSource, small: Settings) -> None:
    preset = replace(small.presets[0], network={"widht": 8})
    with pytest.raises(SettingsError, match="preset 'all inputs, strong decay': unknown setting 'network.widht'"):
        Experiment(source, replace(small, presets=(preset,)), 0).select_inputs()
