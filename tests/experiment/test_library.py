"""The models that an experiment keeps, and the ensemble of the best of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from automtl.ensemble.ensemble import Ensemble
from automtl.ensemble.settings import SelectionSettings
from automtl.ensemble.spec import MemberSpec, ModelSpec
from automtl.errors import SettingsError
from automtl.experiment.leaderboard import Ranked
from automtl.experiment.library import SEARCH, Library, TrainedModel
from automtl.features.batch import Batch
from automtl.features.column_selection import InputGroups
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.network import count_parameters
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Event, Notice, ignore
from automtl.tables.infer import infer_schema
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings

NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,))
LARGE = NetworkSettings(embedding_size=4, width=64, towers=(64,))
TRAINING = TrainingSettings(epochs=1, batch_size=64, learning_rate=0.01)
PLAIN = InputGroups(target_encoding=False)
TASKS = ("click", "buy")


class Made:
    """Encoded rows of a log, and models that were trained on them for one epoch."""

    def __init__(self, log: pl.DataFrame) -> None:
        schema = infer_schema(log.drop("like", "cart"), list(TASKS))
        train, valid, test = log[:900], log[900:1200], log[1200:]
        self.encoder, self.train = Encoder.fit(train, schema, EncoderSettings(), 0)
        self.valid, self.test = self.encoder.encode(valid), self.encoder.encode(test)
        self.specs = [
            MemberSpec("small", "mmoe", NETWORK), MemberSpec("large", "mmoe", LARGE),
            MemberSpec("plain", "shared-bottom", NETWORK, inputs=PLAIN),
        ]  # fmt: skip
        self.models = [self.trained(seed, spec) for seed, spec in enumerate(self.specs)]

    def trained(self, seed: int, spec: MemberSpec) -> TrainedModel:
        layout, model = spec.encoder(self.encoder).layout, spec.build(self.encoder, seed)
        valid = self.valid.for_layout(layout)
        result = fit(model, self.train.for_layout(layout), valid, self.encoder.schema.tasks, TRAINING, seed)
        return TrainedModel(spec, model, result, predict_logits(model, valid), SEARCH, {"learning_rate": 0.01})

    def library(
        self, settings: SelectionSettings | None = None, callback: Callable[[Event], object] = ignore,
        models: Sequence[TrainedModel] | None = None,
    ) -> Library:  # fmt: skip
        found = Library(self.encoder, self.valid, settings or SelectionSettings(), 0, callback)
        for one in self.models if models is None else models:
            found.add(one)
        return found


@pytest.fixture(scope="module")
def made(log: pl.DataFrame) -> Made:
    return Made(log)


def test_the_predictor_mixes_the_selected_models(made: Made) -> None:
    library = made.library()
    predictor = library.predictor()
    assert isinstance(predictor.network, Ensemble) and len(library.selected) > 1
    mixed = torch.zeros(len(made.test), len(TASKS))
    for one, weight in zip(library.models, library.weights, strict=True):
        own = made.test.for_layout(one.spec.encoder(made.encoder).layout)
        mixed += weight * predict_logits(one.model, own)
    rows = made.test.for_layout(predictor.encoder.layout)
    torch.testing.assert_close(predict_logits(predictor.network, rows), mixed)
    torch.testing.assert_close(library.mixed(library.tested(made.test)), mixed)
    names = [member.name for member in predictor.spec.members]
    assert names == [library.models[place].spec.name for place in library.selected]


def test_a_model_that_has_all_the_weight_is_not_an_ensemble(made: Made) -> None:
    plain = made.models[2]
    predictor = made.library(models=[plain]).predictor()
    assert predictor.network is plain.model and predictor.spec == ModelSpec((plain.spec,))
    assert not predictor.encoder.target_encodings  # the model does without
    assert predictor.encoder.layout.num_numeric < made.encoder.layout.num_numeric


def test_every_model_that_is_added_is_told_with_its_rank(made: Made) -> None:
    events: list[Event] = []
    library, scores = made.library(callback=events.append, models=[]), list[float]()
    for one in made.models:
        scores.append(library.add(one))
    assert scores[-1] == library.score
    told = [event for event in events if isinstance(event, Ranked)]
    assert [len(event.rows) for event in told] == [1, 2, 3]
    assert [event.rows[0]["score"] for event in told] == [
        min(one.result.score for one in made.models[:count]) for count in (1, 2, 3)
    ]
    assert told[-1].rows == library.rows()


def test_the_score_of_an_ensemble_is_that_of_its_mixed_logits(made: Made) -> None:
    assert made.library(models=made.models[:1]).score == pytest.approx(made.models[0].result.score, rel=1e-6)
    library = made.library()
    best = min(one.result.score for one in made.models)
    assert library.score < best * 1.01  # the prior towards equal weights may cost a little


def test_shares_are_the_weights_of_the_selected_models(made: Made) -> None:
    library = made.library()
    shares = library.shares()
    assert list(shares) == list(TASKS)
    for task, own in zip(TASKS, library.weights.T, strict=True):
        assert sum(shares[task].values()) == pytest.approx(1.0, abs=1e-3)
        assert shares[task] == {
            library.models[place].spec.name: pytest.approx(float(own[place]), abs=1e-4) for place in library.selected
        }
    totals = [sum(shares[task][name] for task in TASKS) for name in shares["click"]]
    assert totals == sorted(totals, reverse=True)


def test_the_leaderboard_has_a_row_for_every_model_below_that_of_the_ensemble(made: Made) -> None:
    library = made.library()
    predictor = library.predictor()
    logits = library.tested(made.test)
    first, *rows = library.leaderboard(made.test, logits)
    assert sorted(row["name"] for row in rows) == ["large", "plain", "small"]
    assert [row["score"] for row in rows] == sorted(one.result.score for one in made.models)
    for row in rows:
        place = next(place for place, one in enumerate(library.models) if one.spec.name == row["name"])
        one = library.models[place]
        assert (row["model"], row["stage"], row["settings"]) == (one.spec.model, SEARCH, {"learning_rate": 0.01})
        assert row["parameters"] == count_parameters(one.model) and row["latency_ms"] > 0
        assert row["seconds"] == one.result.seconds
        assert row["share"] == dict(zip(TASKS, library.weights[place].tolist(), strict=True))
        for part, given in (("validation", one.logits), ("test", logits[place])):
            assert row[part] == pytest.approx(areas(given, made.valid if part == "validation" else made.test))
    assert (first["name"], first["score"], first["share"]) == ("ensemble", library.score, {"click": 1.0, "buy": 1.0})
    assert first["test"] == pytest.approx(areas(library.mixed(logits), made.test))
    assert first["parameters"] == count_parameters(predictor.network)
    kept = [library.models[place] for place in library.selected]
    assert first["seconds"] == pytest.approx(sum(one.result.seconds for one in kept))


def areas(logits: torch.Tensor, rows: Batch) -> dict[str, float]:
    return {task: roc_auc_score(rows.labels[:, place], logits[:, place]) for place, task in enumerate(TASKS)}


def test_one_model_has_no_row_of_an_ensemble(made: Made) -> None:
    library = made.library(models=made.models[:1])
    library.predictor()
    (row,) = library.leaderboard(made.test, library.tested(made.test))
    assert (row["name"], row["share"]) == ("small", {"click": 1.0, "buy": 1.0})


def test_selected_models_keep_to_the_bounds_together(made: Made) -> None:
    sizes = {one.spec.name: count_parameters(one.model) for one in made.models}
    most = sizes["small"] + sizes["plain"]
    assert most < sizes["large"]
    library = made.library(SelectionSettings(max_parameters=most))
    predictor = library.predictor()
    assert count_parameters(predictor.network) <= most
    assert "large" not in library.shares()["click"]
    fast = made.library(SelectionSettings(max_latency=1e-9))  # none keeps to it: the cheapest one is left
    assert len(fast.selected) == 1
    assert len(made.library(SelectionSettings(max_latency=60.0, max_parameters=10_000_000)).selected) > 1


def test_an_ensemble_that_is_slower_than_its_members_is_made_of_fewer(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = {Ensemble: 9.0}
    monkeypatch.setattr("automtl.experiment.library.row_latency_ms", lambda model, rows: slow.get(type(model), 1.0))
    library = made.library(SelectionSettings(max_latency=3.5e-3))
    assert len(library.selected) > 1 and isinstance(made.library().predictor().network, Ensemble)
    assert not isinstance(library.predictor().network, Ensemble) and library.settings.max_latency == 3.5e-3


def test_a_library_has_no_model_before_one_is_added(made: Made) -> None:
    library = made.library(models=[])
    assert library.rows() == [] and library.selected == []


def test_a_model_that_diverged_is_left_out_and_told(made: Made) -> None:
    events: list[Event] = []
    good, bad = made.models[0], replace(made.models[1], logits=torch.full_like(made.models[1].logits, torch.nan))
    found = made.library(callback=events.append, models=[bad])
    with pytest.raises(SettingsError, match="every model diverged"):
        found.predictor()
    score = found.add(good)
    assert found.add(bad) == score and [one.spec.name for one in found.models] == [good.spec.name]
    assert [event.text for event in events if isinstance(event, Notice)] == [
        f"{bad.spec.name}: its training diverged, so that it is left out"
    ] * 2
