"""The training loop."""

from __future__ import annotations

import json

import pytest
import torch

from automtl.models.registry import EVERY_MODEL, MODELS
from automtl.models.settings import NetworkSettings
from automtl.system.deadline import Deadline, ending
from automtl.system.randomness import seeded
from automtl.tables.schema import Task
from automtl.training.evaluation import Evaluator, predict_logits
from automtl.training.fit import SelfTrained, Training, fit, fit_as_long
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from automtl.training.updates import parameter_groups
from tests.conftest import small_batch, small_layout

TASKS = tuple(Task(f"t{index}") for index in range(3))
NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.3)
SETTINGS = TrainingSettings(epochs=6, batch_size=16, learning_rate=0.01, evaluate_every=32, patience=3)


def model(seed: int = 0) -> torch.nn.Module:
    return MODELS.find("mmoe")(small_layout(), NETWORK, torch.Generator().manual_seed(seed))


def test_the_best_weights_are_restored() -> None:
    net, valid = model(), small_batch(60, seed=2)
    result = fit(net, small_batch(100), valid, TASKS, SETTINGS, 0)
    assert result.score == min(check.score for check in result.evaluations)
    again = Evaluator(valid, TASKS, MultiTaskLoss(TASKS))(net, 0, 0, 0.0)
    assert again.score == result.score


def test_validation_rows_are_judged_alike_however_many_are_looked_at_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    net, valid = model(), small_batch(60, seed=2)
    valid.weight[:] = torch.linspace(0.5, 2, 60)
    whole = Evaluator(valid, TASKS, MultiTaskLoss(TASKS))(net, 0, 0, 0.0)
    for place in ("losses", "metrics"):
        monkeypatch.setattr(f"automtl.training.{place}.SLICE_ROWS", 7)
    parts = Evaluator(valid, TASKS, MultiTaskLoss(TASKS))(net, 0, 0, 0.0)
    assert (parts.score, parts.loss) == pytest.approx((whole.score, whole.loss), abs=1e-6)
    assert parts.auc == pytest.approx(whole.auc, abs=1e-12)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state_alone() -> None:
    first, second = model(), model()
    state = torch.get_rng_state()
    fit(first, small_batch(100), small_batch(60, seed=2), TASKS, SETTINGS, 5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    fit(second, small_batch(100), small_batch(60, seed=2), TASKS, SETTINGS, 5)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def training(net: torch.nn.Module, seed: int = 5) -> Training:
    return Training(net, small_batch(100), small_batch(60, seed=2), TASKS, SETTINGS, seed)


def test_trainings_that_pause_in_turn_end_as_those_at_once() -> None:
    nets, at_once = [model(1), model(2)], [model(1), model(2)]
    results = [fit(net, small_batch(100), small_batch(60, seed=2), TASKS, SETTINGS, 5) for net in at_once]
    state, paused = torch.get_rng_state(), [training(net) for net in nets]
    going = list(paused)
    while going:
        going = [one for one in going if one.advance() is not None]
        assert torch.equal(torch.get_rng_state(), state)
    for one, net, result, other in zip(paused, nets, results, at_once, strict=True):
        found = one.finish()
        assert (found.evaluations, found.best) == (result.evaluations, result.best)
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_training_that_is_ended_early_has_the_best_weights_so_far() -> None:
    net = model()
    paused = training(net)
    seen = [paused.advance() for _ in range(3)]
    result = paused.finish()
    assert list(result.evaluations) == seen and paused.advance() is None and not net.training
    valid = small_batch(60, seed=2)
    again = Evaluator(valid, TASKS, MultiTaskLoss(TASKS))(net, 0, 0, 0.0)
    assert again.score == result.score == min(one.score for one in result.evaluations)


def test_a_training_ends_with_an_evaluation_where_the_deadline_passes() -> None:
    net, deadline = model(), Deadline()
    with ending(deadline):
        paused = training(net)
        first = paused.advance()
        deadline.stop()
        last = paused.advance()
        assert paused.advance() is None
    assert first is not None and last is not None
    assert last.rows == first.rows + SETTINGS.batch_size  # the batch that it was about to take
    assert len(paused.finish().evaluations) == 2


def test_embedding_tables_have_their_own_weight_decay() -> None:
    net = model()
    tables, rest = parameter_groups(net, TrainingSettings(embedding_weight_decay=0.5, weight_decay=0.25))
    assert [id(p) for p in tables["params"]] == [id(net.embedding.table)]  # type: ignore[union-attr]
    assert (tables["weight_decay"], rest["weight_decay"]) == (0.5, 0.25)
    assert len(tables["params"]) + len(rest["params"]) == len(list(net.parameters()))


def test_prediction_has_no_dropout_and_keeps_the_mode() -> None:
    net, batch = model().train(), small_batch()
    with seeded(0):
        assert torch.equal(predict_logits(net, batch), predict_logits(net, batch))
    assert net.training


def test_a_task_of_one_class_has_no_auc_in_the_checks_and_they_stay_plain_json() -> None:
    train, valid = small_batch(200), small_batch(60, seed=1)
    valid.labels[:, 1] = 0.0
    result = fit(model(), train, valid, TASKS, TrainingSettings(epochs=1), 0)
    assert set(result.evaluations[0].auc) == {task.name for task in TASKS} - {TASKS[1].name}
    json.dumps([check.to_dict() for check in result.evaluations], allow_nan=False)


@pytest.mark.parametrize("name", ["mmoe", "single-task", "tabm", "lightgbm"])
def test_a_training_as_long_as_an_earlier_one_on_the_same_rows_gives_the_same_model(name: str) -> None:
    """Validation rows, which are others here, decide nothing any more; CatBoost draws otherwise without them."""
    made = [EVERY_MODEL.find(name)(small_layout(), NETWORK, torch.Generator().manual_seed(0)) for _ in range(2)]
    first, again = made
    rows, valid, other = small_batch(100), small_batch(60, seed=2), small_batch(30, seed=3)
    earlier = fit(first, rows, valid, TASKS, SETTINGS, 5)
    if isinstance(again, SelfTrained):
        assert isinstance(first, SelfTrained) and again.learn_as_long_as(first)
    assert fit_as_long(again, earlier, 1.0, rows, other, TASKS, SETTINGS, 5) is not None
    assert torch.equal(predict_logits(again, other), predict_logits(first, other))


def test_more_rows_are_passed_over_as_often() -> None:
    valid = small_batch(60, seed=2)
    earlier = fit(model(), small_batch(100), valid, TASKS, SETTINGS, 5)
    result = fit_as_long(model(), earlier, 2.0, small_batch(200), valid, TASKS, SETTINGS, 5)
    assert result is not None
    wanted = 2 * earlier.evaluations[earlier.best].rows
    assert abs(result.evaluations[result.best].rows - wanted) < 2 * SETTINGS.batch_size


def test_a_training_of_given_length_that_has_no_time_says_so() -> None:
    valid = small_batch(60, seed=2)
    earlier, over = fit(model(), small_batch(100), valid, TASKS, SETTINGS, 5), Deadline()
    over.stop()
    with ending(over):
        assert fit_as_long(model(), earlier, 2.0, small_batch(200), valid, TASKS, SETTINGS, 5) is None
