"""The plan of a step is decided by its number and the settings."""

from __future__ import annotations

import pytest
import torch

from automtl.search.candidates import argmax
from automtl.search.procedure import Procedure, Schedule
from automtl.search.progressive import ProgressiveSettings
from tests.search.test_search import PROGRESSIVE, SETTINGS

SIZES = {"interaction": 13, "pooling": 4, "layer_1": 3}
SCHEDULES = [
    Schedule(Procedure.of(settings), settings, 60, 1) for settings in (SETTINGS, PROGRESSIVE, ProgressiveSettings())
]
every = pytest.mark.parametrize("schedule", SCHEDULES, ids=["all", "economical", "default"])


@every
def test_gradients_that_are_compared_were_recorded_a_step_before_with_the_same_candidates(schedule: Schedule) -> None:
    plans = [schedule.plan(step, SIZES) for step in range(schedule.total)]
    compared = [plan for plan in plans if plan.compares]
    assert compared and all(plan.step > schedule.warm_up and plan.moves_alpha for plan in compared)
    for plan in compared:
        before = plans[plan.step - 1]
        assert before.records
        assert before.weights_candidates == plan.architecture_candidates


@every
def test_a_plan_is_the_same_whenever_it_is_made(schedule: Schedule) -> None:
    late = {step: schedule.plan(step, SIZES) for step in reversed(range(schedule.total))}
    for step, plan in late.items():
        again = schedule.plan(step, SIZES)
        assert (again.architecture_candidates, again.weights_candidates) == (
            plan.architecture_candidates, plan.weights_candidates,
        )  # fmt: skip
        assert (again.moves_alpha, again.selects, again.skips) == (plan.moves_alpha, plan.selects, plan.skips)


def test_experts_are_selected_after_the_warm_up_unless_alpha_and_beta_move_together() -> None:
    plans = [SCHEDULES[0].plan(step, SIZES) for step in range(60)]
    assert [plan.selects for plan in plans] == [False] * 20 + [True] * 40
    joint = Schedule(Procedure.of(SETTINGS, joint=True), SETTINGS, 60, 1)
    assert not any(joint.plan(step, SIZES).selects for step in range(60))


def test_each_pruning_keeps_half_and_the_last_one_the_strongest() -> None:
    plans = [SCHEDULES[1].plan(step, SIZES) for step in range(60)]
    prunings = {plan.step + 1: plan.prune for plan in plans if plan.prune is not None}
    assert list(prunings) == [18, 36]
    weights = torch.tensor([[0.1, 0.3, 0.05, 0.25, 0.15, 0.15], [0.3, 0.2, 0.05, 0.1, 0.15, 0.2]])
    assert prunings[18](weights) == (0, 1, 3)
    assert prunings[18](weights[:, :4]) == (0, 1, 2, 3)
    assert prunings[36] is argmax
    assert argmax(weights) == (0, 1)
