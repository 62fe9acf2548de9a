"""CatBoost's trees: what they learn from, what is saved of them, and what they need."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from torch import Tensor

from automtl.config import read_settings
from automtl.ensemble.catboost_trees import CatBoostTrees
from automtl.ensemble.settings import CatBoostSettings, TreeSettings
from automtl.errors import FileError, SettingsError
from automtl.experiment.fit import fit_table
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.network import count_parameters
from automtl.models.registry import MODELS, check_model
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.system.deadline import Deadline, ending
from automtl.system.manifest import MANIFEST, MODEL, checksums
from automtl.system.progress import Progress
from automtl.tables.schema import Task
from automtl.tables.synthetic import synthetic_log
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.sampling import sample_negatives
from automtl.training.settings import TrainingSettings
from tests.ensemble.test_trees import LAYOUT, OPTIONS, TASKS, rare_clicks, rows

pytest.importorskip("catboost")
SETTINGS = TreeSettings(rounds=60, catboost=CatBoostSettings(learning_rate=0.2, depth=4, column_share=1.0))
WIDE = CatBoostSettings(learning_rate=0.2, depth=4, column_share=1.0, one_hot=10)


def trained(train: Batch, valid: Batch | None = None, seed: int = 0, layout: Layout = LAYOUT) -> CatBoostTrees:
    model = CatBoostTrees(layout, NetworkSettings(), torch.Generator(), SETTINGS)
    fit(model, train, rows(seed=1) if valid is None else valid, layout.tasks, TrainingSettings(), seed)
    return model


def logits(model: CatBoostTrees, batch: Batch | None = None) -> Tensor:
    return predict_logits(model, rows(seed=2) if batch is None else batch)


def test_both_kinds_of_task_are_learned_and_heard_of() -> None:
    heard: list[Progress] = []
    model, valid = CatBoostTrees(LAYOUT, NetworkSettings(), torch.Generator(), SETTINGS), rows(seed=1)
    result = fit(model, rows(), valid, TASKS, TrainingSettings(), 0, heard.append, "training catboost")
    found, test = logits(model), rows(seed=2)
    assert ((found[:, 0] > 0) == (test.labels[:, 0] > 0)).float().mean() > 0.95
    assert (found[:, 1] - test.labels[:, 1]).square().mean() < 0.1 * test.labels[:, 1].var()
    assert result.score < 0.5
    loss = (predict_logits(model, rows())[:, 1] - rows().labels[:, 1]).square().mean()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        predict_logits(model, rows())[:, 0], rows().labels[:, 0]
    )
    assert result.evaluations[0].train_loss == pytest.approx(float(loss + entropy) / 2, rel=1e-3)
    assert {event.stage for event in heard} == {"training catboost: click", "training catboost: watch"}
    assert count_parameters(model) > 100


def test_ids_of_a_large_field_become_target_statistics() -> None:
    users, seen = 800, np.random.default_rng(0)
    taste = seen.random(users + 2) < 0.5

    def batch(count: int) -> Batch:
        ids = seen.integers(2, users + 2, (count, 1))
        labels = torch.tensor(taste[ids]).float()
        return Batch(
            Features(torch.tensor(ids), (), torch.zeros(count, 0)), labels, torch.ones(count, 1), torch.ones(count)
        )

    layout = Layout((CategoricalLayout("user", users + 2),), (), (), (Task("click"),))
    train, valid, test = (batch(count) for count in (8000, 500, 500))
    found = logits(trained(train, valid, layout=layout), test)
    assert ((found > 0) == (test.labels > 0)).float().mean() > 0.97


def test_the_seed_decides_the_trees() -> None:
    first, second, other = trained(rows()), trained(rows()), trained(rows(), seed=1)
    assert torch.equal(logits(first), logits(second)) and not torch.equal(logits(first), logits(other))


@pytest.mark.parametrize("role", ["mask", "weight"])
def test_rows_without_a_label_or_weight_teach_nothing(role: str) -> None:
    batch, half = rows(), torch.arange(600) < 300
    wrong = replace(batch, labels=torch.where(half.unsqueeze(1), 1 - batch.labels, batch.labels))
    hidden = torch.where(half, 0.0, 1.0)
    part = {"mask": hidden.unsqueeze(1).expand(-1, 2).contiguous()} if role == "mask" else {"weight": hidden}
    assert torch.equal(logits(trained(replace(wrong, **part))), logits(trained(batch.take(~half))))


def test_weights_of_rows_count() -> None:
    batch = rows()
    heavy = replace(batch, weight=torch.where(batch.labels[:, 0] > 0, 9.0, 1.0))
    plain, weighted = (logits(trained(each))[:, 0].sigmoid().mean() for each in (batch, heavy))
    assert weighted > plain


def test_a_task_without_validation_rows_is_trained_for_fixed_rounds() -> None:
    valid = rows(seed=1)
    unlabelled = replace(valid, mask=valid.mask * torch.tensor([1.0, 0.0]))
    assert (trained(rows(), unlabelled).forest.tree_task == 1).sum() == 60


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_predictions_are_probabilities_of_all_rows(options: dict[str, Any]) -> None:
    tasks = (Task("click", **options), Task("other"))
    train, valid, test = (rare_clicks(seed, True) for seed in (0, 1, 2))
    model = trained(sample_negatives(train, tasks, None, 0), valid, layout=replace(LAYOUT, tasks=tasks))
    again = CatBoostTrees(replace(LAYOUT, tasks=tasks), NetworkSettings(), torch.Generator())
    again.restore(model.to_bytes())
    scores = logits(again, test).sigmoid()
    assert torch.equal(scores, logits(model, test).sigmoid())
    assert scores.mean(0).tolist() == pytest.approx(test.labels.mean(0).tolist(), abs=0.015)
    top = scores[:, 0] > 0.1
    assert float(scores[top, 0].mean()) == pytest.approx(float(test.labels[top, 0].mean()), abs=0.08)


def test_labels_that_are_all_alike_are_learned() -> None:
    batch = rows()
    alike = replace(batch, labels=batch.labels * torch.tensor([0.0, 1.0]))
    assert logits(trained(alike))[:, 0].sigmoid().max() < 1e-3


def test_inputs_that_are_all_alike_are_refused_by_the_name_of_the_task() -> None:
    batch = rows()
    features = batch.features.each(lambda tensor: tensor * 0)
    with pytest.raises(SettingsError, match="no input has two values on the rows of task 'click'"):
        trained(replace(batch, features=features))


def test_a_deadline_ends_the_rounds() -> None:
    with ending(Deadline(0.0)):
        model = trained(rows())
    assert model.forest.tree_task.tolist() == [0, 1]


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(SettingsError, match=r"pip install 'automtl\[catboost\]'"):
        check_model("catboost", TASKS)


def test_a_run_holds_arrays_that_are_scored_without_catboost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, run = synthetic_log(1500, seed=0), tmp_path / "run"
    settings = read_settings(None, {"model": "catboost", "report": False, "presets": [], "trees": {"rounds": 20}})
    made = fit_table(log, ["click", "buy"], settings=settings, out=run)
    assert {path.name for path in run.glob("trees.*")} == {"trees.0.safetensors"}
    monkeypatch.setitem(sys.modules, "catboost", None)
    assert Predictor.load(run).predict(log).equals(made.predictor.predict(log))
    assert made.predictor.spec.model == "catboost" and MODELS.name_of(CatBoostTrees) == "catboost"
    trees = run / "trees.0.safetensors"
    content = save(load(trees.read_bytes()) | {"table_field": np.full(1, 99, np.int32)})
    trees.write_bytes(content)
    MODEL.write(run, {}, checksums(run, {path.name for path in run.iterdir()} - {MANIFEST}))
    with pytest.raises(FileError, match=r"'trees.0.safetensors' cannot be used: 'table_.* fit again"):
        Predictor.load(run)


def of_a_large_field(batch: Batch) -> tuple[Batch, Layout]:
    """Users who are told apart by statistics alone, and a device of few known ids among many."""
    layout = replace(LAYOUT, categorical=(*LAYOUT.categorical, CategoricalLayout("place", 2000)))
    random = np.random.default_rng(len(batch))
    place = torch.tensor(random.choice([3, 255, 256, 1999], (len(batch), 1)))
    features = replace(batch.features, categorical=torch.cat([batch.features.categorical, place], dim=1))
    labels = torch.where((place == 1999) | (place == 255), 1 - batch.labels, batch.labels)
    return replace(batch, features=features, labels=labels), layout


def test_all_rows_are_scored_as_by_catboost_in_all_bits() -> None:
    train, layout = of_a_large_field(rows(3000))
    model = CatBoostTrees(layout, NetworkSettings(), torch.Generator(), replace(SETTINGS, catboost=WIDE))
    boosters: list[Any] = []
    convert = model.converted

    def spy(found: Sequence[Any]) -> Any:
        boosters.extend(found)
        return convert(found)

    model.converted = spy  # type: ignore[method-assign]
    fit(model, train, of_a_large_field(rows(600, 1))[0], TASKS, TrainingSettings(), 0)
    fields = set(model.tables.table_field.tolist())
    assert model.tables.num_tables > 2 and len(model.forest.sets) > 2 and {0, 2} <= fields
    random, count = np.random.default_rng(0), 4000
    ids = np.stack([random.integers(0, field.size, count) for field in layout.categorical], axis=1)
    strange = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40, *model.forest.threshold.tolist()], np.float32)
    features = Features(
        torch.tensor(ids), (torch.tensor(random.integers(0, 4, (count, 2))),),
        torch.tensor(random.choice(strange, (count, 1))),
    )  # fmt: skip
    expected = model.raw_scores(boosters, features)
    assert len(np.unique(expected[:, 0])) > 100
    for score in (model, restored(model, layout)):
        assert np.array_equal(score.scores(features), expected)
        assert np.array_equal(score.scores(features.each(lambda part: part[:9])), expected[:9])


def restored(model: CatBoostTrees, layout: Layout) -> CatBoostTrees:
    again = CatBoostTrees(layout, NetworkSettings(), torch.Generator())
    again.restore(model.to_bytes())
    return again


def test_a_training_as_long_as_an_earlier_one_has_as_many_trees_of_each_task() -> None:
    first, again = trained(rows()), CatBoostTrees(LAYOUT, NetworkSettings(), torch.Generator())
    assert again.learn_as_long_as(first)
    fit(again, rows(), rows(seed=1), TASKS, TrainingSettings(), 0)
    assert (np.bincount(again.forest.tree_task) == np.bincount(first.forest.tree_task)).all()
