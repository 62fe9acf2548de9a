"""Successive halving: which trainings go on, which networks are drawn, and what is kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from automtl.operations import operation
from automtl.search import SearchProblem, TrainedNetwork
from automtl.search.halving import (
    DRAWN,
    PUBLISHED,
    Configuration,
    Halving,
    HalvingRun,
    HalvingSettings,
    Trial,
    baseline_architecture,
)
from automtl.space import SpaceSettings, make_space, published_space
from automtl.system.deadline import Deadline, ending
from automtl.system.progress import Progress, ignore
from automtl.training.evaluation import Evaluation, Evaluator, predict_logits
from automtl.training.fit import FitResult
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from tests.search.test_search import problem

QUICK = TrainingSettings(epochs=3, batch_size=32)
WIDE = make_space(SpaceSettings(preset="wide", experts=3, layers=1), 3)


class Scripted:
    """A training whose scores are given."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.left, self.evaluations, self.model = list(scores), list[Evaluation](), torch.nn.Identity()

    def advance(self) -> Evaluation | None:
        if not self.left:
            return None
        self.evaluations.append(Evaluation(0, 0, 0.0, self.left.pop(0), 0.0, {}, {}))
        return self.evaluations[-1]

    @property
    def best(self) -> int:
        return min(range(len(self.evaluations)), key=lambda place: self.evaluations[place].score)

    def finish(self) -> FitResult:
        return FitResult(tuple(self.evaluations), self.best, 0.0)


def scripted(curves: Sequence[Sequence[float]], monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[list[float]]:
    """The scores of each training in the order in which they are kept, where trainings have these scores."""

    def start(run: HalvingRun, configuration: Configuration) -> Trial:
        made: Any = Scripted(curves[len(run.trials)])
        return Trial(configuration, made)

    monkeypatch.setattr(HalvingRun, "_start", start)
    run = HalvingRun(problem(), HalvingSettings(trainings=len(curves), **settings), 0, ignore)
    run.trained()
    return [record["evaluations"] for record in run.records]


def plain_halving(curves: Sequence[Sequence[float]], pause: int, share: float) -> list[list[float]]:
    """The rule, written down again: whoever is among the best share of all goes on before another one starts."""
    seen: list[list[float]] = []
    ended: list[int] = []
    while True:
        ranked = sorted(range(len(seen)), key=lambda one: (min(seen[one]), one))
        ahead = [one for one in ranked[: int(share * len(seen))] if one not in ended]
        if ahead:
            seen[ahead[0]] = list(curves[ahead[0]])
            ended.append(ahead[0])
        elif len(seen) < len(curves):
            seen.append(list(curves[len(seen)][:pause]))
            if len(curves[len(seen) - 1]) < pause:
                ended.append(len(seen) - 1)
        else:
            return [seen[one] for one in (*ended, *(one for one in range(len(seen)) if one not in ended))]


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_better_share_of_all_trainings_goes_on(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        curves = [[rng.random() for _ in range(rng.randint(1, 7))] for _ in range(9)]
        found = scripted(curves, monkeypatch, pause_after=3, promoted=share)
        assert found == plain_halving(curves, 3, share)


def test_trainings_that_do_not_improve_the_ensemble_end_the_search() -> None:
    kept: list[TrainedNetwork] = []
    settings = HalvingSettings(trainings=50, patience=2, promoted=1.0)
    Halving(settings).search(watched(kept, score=1.0), 0, ignore)
    assert len(kept) == 3  # the first one improves on nothing, the next two on none


def watched(kept: list[TrainedNetwork], score: float | None = None) -> SearchProblem:
    """A problem that notes what is kept; `score`: that of every ensemble, else of the network alone."""

    def keep(trained: TrainedNetwork) -> float:
        kept.append(trained)
        return trained.result.score if score is None else score

    return replace(problem(), training=QUICK, keep=keep)


def test_every_training_is_kept_once_and_the_best_one_is_returned() -> None:
    kept: list[TrainedNetwork] = []
    events: list[Any] = []
    given = watched(kept)
    found = Halving(HalvingSettings(trainings=5, pause_after=1)).search(given, 0, events.append)
    assert len({id(one.model) for one in kept}) == len(kept) == 5
    assert [one.result.score for one in kept] == [trial["score"] for trial in found.history["trials"]]
    assert [one.name for one in kept if one.architecture is None] == [PUBLISHED]
    best = min((one for one in kept if one.architecture is not None), key=lambda one: one.result.score)
    assert found.trained is best and found.architecture == best.architecture
    lengths = sorted(len(one.result.evaluations) for one in kept)
    assert lengths[0] == 1 < lengths[-1] == QUICK.epochs  # some pause for ever, some go on to the end
    steps = [one.step for one in events if isinstance(one, Progress) and one.stage == "search"]
    assert steps == [1, 2, 3, 4, 5]
    evaluate = Evaluator(given.valid, given.layout.tasks, MultiTaskLoss(given.layout.tasks))
    for one in kept:  # with its best weights
        assert evaluate(one.model, 0, 0, 0.0).score == pytest.approx(one.result.score, rel=1e-5)


def test_the_seed_decides_networks_and_weights() -> None:
    first, second, other = (list[TrainedNetwork]() for _ in range(3))
    for kept, seed in ((first, 1), (second, 1), (other, 2)):
        Halving(HalvingSettings(trainings=4, pause_after=1)).search(watched(kept), seed, ignore)
    given = problem().valid
    for one, same in zip(first, second, strict=True):
        assert (one.architecture, one.network, one.training) == (same.architecture, same.network, same.training)
        assert torch.equal(predict_logits(one.model, given), predict_logits(same.model, given))
    assert [one.training for one in first] != [one.training for one in other]


@pytest.mark.parametrize("sampler", ["random", "evolution"])
def test_networks_are_of_the_space_and_their_values_of_those_that_are_drawn(
    sampler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Configuration] = []

    def start(run: HalvingRun, configuration: Configuration) -> Trial:
        made.append(configuration)
        training: Any = Scripted([random.Random(len(made)).random()])
        return Trial(configuration, training)

    monkeypatch.setattr(HalvingRun, "_start", start)
    given = replace(problem(), space=WIDE, alternatives=(problem(), problem()))
    HalvingRun(given, HalvingSettings(trainings=60, sampler=sampler), 0, ignore).trained()
    assert made[0].architecture == baseline_architecture(WIDE)
    assert made[1].architecture is None and made[0].values == made[1].values  # a published model
    for one in made:
        assert one.architecture is None or WIDE.narrow(one.architecture).size() == 1
        assert all(value in DRAWN[name] for name, value in one.values.items())
    assert {one.inputs for one in made} == {0, 1, 2}
    drawn = [one for one in made if one.architecture not in (None, made[0].architecture)]
    changed = [one for place, one in enumerate(drawn) if any(_is_change(one, before) for before in drawn[:place])]
    assert (len(changed) > 2) == (sampler == "evolution")  # two draws are never so alike


def _is_change(one: Configuration, other: Configuration) -> bool:
    """Whether two networks have the same architecture and inputs, and differ in at most one value."""
    names = {*one.values, *other.values}
    values = sum(one.values.get(name) != other.values.get(name) for name in names)
    return (one.architecture, one.inputs) == (other.architecture, other.inputs) and values <= 1


def test_values_of_training_are_factors_of_what_is_set() -> None:
    configuration = Configuration(
        baseline_architecture(WIDE), values={"training.learning_rate": 2.0, "network.dropout": 0.4}
    )
    given = problem()
    assert configuration.changes("training", given.training) == {"learning_rate": 2 * given.training.learning_rate}
    assert configuration.changes("network", given.network) == {"dropout": 0.4}


def test_networks_are_trained_on_other_inputs_too() -> None:
    kept: list[TrainedNetwork] = []
    main = watched(kept)
    other = replace(problem(), training=replace(QUICK, learning_rate=0.01), inputs="other")
    Halving(HalvingSettings(trainings=12, pause_after=1, promoted=0.1)).search(
        replace(main, alternatives=(other,)), 0, ignore
    )
    assert {one.inputs for one in kept} == {"default", "other"} and len(kept) == 12
    for one in kept:
        base = 0.01 if one.inputs == "other" else QUICK.learning_rate
        assert min(abs(one.training.learning_rate / base - factor) for factor in (0.5, 1.0, 2.0)) < 1e-9


def test_a_deadline_that_has_passed_still_gives_a_network() -> None:
    kept: list[TrainedNetwork] = []
    deadline = Deadline()
    deadline.stop()
    with ending(deadline):
        found = Halving(HalvingSettings(trainings=5)).search(watched(kept), 0, ignore)
    assert len(kept) == 1 and found.trained is kept[0] and len(kept[0].result.evaluations) == 1


def test_the_network_made_by_hand_has_plain_experts() -> None:
    space = make_space(SpaceSettings(preset="wide", experts=4, layers=2), 2)
    made = baseline_architecture(space)
    assert made.choices["interaction"] == (operation("skip"),)
    assert set(made.choices["pooling"]) == {operation("linear")}
    assert set(made.choices["layer_1"]) | set(made.choices["layer_2"]) == {operation("mlp-64")}
    assert made.num_experts == 4 and made.selection == ((0, 1, 2, 3),) * 2
    assert space.narrow(made).size() == 1


def test_the_network_made_by_hand_shares_experts_evenly_and_takes_what_the_space_has() -> None:
    layers = SpaceSettings(experts=4, layers=1, keep=2, expert_layers=("hidden-gate", "mlp-16"))
    space = published_space(layers, 2)
    made = baseline_architecture(space)
    assert made.selection == ((0, 1), (2, 3))
    assert set(made.choices["layer_1"]) == {operation("hidden-gate")}
    assert space.narrow(made).size() == 1
