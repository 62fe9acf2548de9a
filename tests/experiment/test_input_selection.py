"""The choice of inputs on validation rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from automtl.config import InputPreset, Settings
from automtl.dataset.store import data_loader
from automtl.errors import DivergedError
from automtl.experiment import ColumnRoles, EncodedSource, open_source, trainer
from automtl.experiment.input_selection import SelectedInputs, select_inputs
from automtl.experiment.trainer import Trainer
from automtl.system.progress import Event, Notice
from automtl.training.fit import FitResult, fit

DIVERGES = InputPreset("diverging", training={"learning_rate": 0.02})


@pytest.fixture
def source(log: pl.DataFrame, tiny: Settings) -> Iterator[EncodedSource]:
    rows, _ = open_source(log, ["click", "buy"], ColumnRoles(drop=("like", "cart")), None, tiny, 0)
    with data_loader(tiny.data_loader) as loader:
        yield EncodedSource(rows, loader)


def selected(source: EncodedSource, settings: Settings, events: list[Event], *, single: bool) -> SelectedInputs:
    return select_inputs(source, Trainer(settings, 0, events.append, lambda: None), try_single=single)


def test_a_single_preset_is_tried_only_where_it_is_wanted(source: EncodedSource, tiny: Settings) -> None:
    one = replace(tiny, presets=tiny.presets[:1])
    alone = selected(source, one, [], single=False)
    assert not alone.tried and alone.presets == [{"name": one.presets[0].name, "chosen": True}]
    tried = selected(source, one, [], single=True)
    assert [inputs.preset for inputs, _ in tried.tried] == [one.presets[0].name] and tried.presets[0]["score"] > 0


def test_the_preset_with_the_least_loss_is_chosen(source: EncodedSource, tiny: Settings) -> None:
    found = selected(source, tiny, [], single=False)
    scores = {one["name"]: one["score"] for one in found.presets}
    assert len(scores) > 1 and found.inputs.preset == min(scores, key=lambda name: scores[name])
    assert [one["name"] for one in found.presets if one["chosen"]] == [found.inputs.preset]
    assert [inputs.preset for inputs, _ in found.tried] == sorted(scores, key=lambda name: scores[name])
    assert found.tried[0][0] is found.inputs


def test_inputs_whose_training_diverges_are_not_judged(
    source: EncodedSource, tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit_or_diverge(*given: Any) -> FitResult:
        if given[-1].endswith(DIVERGES.name):
            raise DivergedError(f"{given[-1]}: the loss is nan")
        return fit(*given)

    monkeypatch.setattr(trainer, "fit", fit_or_diverge)
    events: list[Event] = []
    found = selected(source, replace(tiny, presets=(DIVERGES, *tiny.presets[:1])), events, single=False)
    assert found.inputs.preset == tiny.presets[0].name and len(found.tried) == 1
    assert found.presets[0] == {"name": DIVERGES.name, "score": None, "chosen": False}
    assert [one.text for one in events if isinstance(one, Notice)] == [
        "choosing inputs: diverging: the loss is nan; these inputs are not judged"
    ]
