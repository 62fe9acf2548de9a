"""The course of a model, step by step, with outcomes made up."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from automtl.comparison.process_pool import Failure
from automtl.comparison.protocol import Course, Outcome, Plan, choose_inputs, take_part
from automtl.comparison.trials import Job, Kind
from automtl.config import DEFAULT_PRESETS, InputPreset, Settings, make_settings
from automtl.errors import ComparisonError
from automtl.tables.schema import Field, FieldKind, Schema, Task

SCHEMA = Schema((Field("user", FieldKind.CATEGORICAL),), (Task("click"),), target_encoding=(("user",),))
PLAN = Plan(seeds=(0, 1), trials=5)
IDS_ONLY = DEFAULT_PRESETS[2]


def outcome(job: Job, score: float = 0.5) -> dict[str, Any]:
    """A record as a job would write it."""
    metrics = {"tasks": {"click": {"auc": 0.7}}, "mtl_loss": 0.4}
    return {
        "score": score, "seed": job.seed, "architecture": {"of": job.seed}, "seconds": 2.0, "peak_memory_bytes": 9,
        "validation": metrics, "test": metrics, "parameters": 3, "flops_per_row": 4, "job_seconds": 1.0,
    }  # fmt: skip


def play(course: Course[Any], *answers: Any) -> tuple[Any, list[list[Job]]]:
    """What the course returns, and its batches of jobs. `answers`: for each batch from jobs to outcomes."""
    batches: list[list[Job]] = []
    outcomes: list[Outcome] | None = None
    try:
        while True:
            batches.append(course.steps.send(outcomes))  # type: ignore[arg-type]
            answer = answers[len(batches) - 1] if len(batches) <= len(answers) else None
            outcomes = answer(batches[-1]) if answer else [outcome(job) for job in batches[-1]]
    except StopIteration as end:
        return end.value, batches


def part(model: str = "automtl", plan: Plan = PLAN, inputs: InputPreset = IDS_ONLY) -> Course[Any]:
    return take_part("ours", make_settings({"model": model}), inputs, DEFAULT_PRESETS, plan)


def test_a_searched_model_is_searched_for_each_seed_tuned_at_the_first_and_tested_once_for_each() -> None:
    course = part()
    finish, batches = play(course)
    assert [[(job.kind, job.seed) for job in batch] for batch in batches] == [
        [(Kind.SEARCH, 0), (Kind.SEARCH, 1)],
        [(Kind.TRIAL, 0)] * 3,
        [(Kind.TRIAL, 0)] * 2,
        [(Kind.TEST, 0), (Kind.TEST, 1)],
    ]
    assert course.planned == Counter(job.kind for batch in batches for job in batch)
    assert [job.architecture for job in batches[3]] == [{"of": 0}, {"of": 1}]
    assert len({job.name for batch in batches for job in batch}) == 9
    assert not finish.failed and finish.tested == tuple(job.name for job in batches[3])
    assert [seed["seconds"] for seed in finish.entry["seeds"]] == [{"search": 2.0, "training": 2.0}] * 2


def test_the_search_is_done_under_default_settings_and_tests_under_the_best_point_of_validation_rows() -> None:
    def second_is_best(jobs: list[Job]) -> list[Outcome]:
        return [outcome(job, score) for job, score in zip(jobs, (0.9, 0.1), strict=True)]

    finish, (searches, inputs, further, tests) = play(part(), None, None, second_is_best)
    assert [job.settings.presets[0].name for job in inputs] == [
        "ids only",
        "target encoding, strong decay",
        "target encoding",
    ]
    assert searches[0].settings == inputs[0].settings
    assert {job.settings.presets[0].name for job in further} == {"ids only"}  # the first of equal scores
    assert tests[0].settings == further[1].settings
    assert finish.entry["tuning"]["chosen"] == finish.entry["tuning"]["trials"][4]["settings"]


def test_one_trial_is_the_default_settings_for_all() -> None:
    finish, batches = play(part("mmoe", Plan((0, 1), 1)))
    assert [[job.kind for job in batch] for batch in batches] == [[Kind.TEST, Kind.TEST]]
    assert batches[0][0].settings.presets[0].name == "ids only"
    assert finish.entry["tuning"]["trials"] == [{"settings": finish.entry["tuning"]["chosen"], "score": None}]


def test_trees_judge_their_inputs_themselves() -> None:
    presets = (DEFAULT_PRESETS[0], IDS_ONLY)
    course = take_part("trees", make_settings({"model": "lightgbm"}), IDS_ONLY, presets, Plan((0,), 1))
    _, batches = play(course)
    assert [job.settings.presets[0].name for job in batches[0]] == ["ids only", "target encoding, strong decay"]


def test_a_failed_trial_is_told_and_leaves_the_others() -> None:
    def one_fails(jobs: list[Job]) -> list[Outcome]:
        return [outcome(jobs[0]), Failure("no memory"), outcome(jobs[2])]

    finish, _ = play(part("mmoe"), one_fails)
    assert not finish.failed
    assert finish.entry["tuning"]["trials"][1]["failed"] == "no memory"


def test_a_model_whose_default_settings_or_tests_fail_has_failed() -> None:
    def fails(jobs: list[Job]) -> list[Outcome]:
        return [Failure("regression"), *(outcome(job) for job in jobs[1:])]

    for answers in ((fails,), (None, None, fails)):
        finish, batches = play(part("mmoe"), *answers)
        assert finish.entry["failed"] == "regression" and finish.entry["seeds"] == []
        assert len(batches) == len(answers)


def test_the_reference_model_chooses_the_inputs_on_validation_rows() -> None:
    def last_is_best(jobs: list[Job]) -> list[Outcome]:
        return [outcome(job, score) for job, score in zip(jobs, (0.9, 0.8, 0.7), strict=True)]

    preset, batches = play(choose_inputs(Settings(), DEFAULT_PRESETS, PLAN), last_is_best)
    assert preset == IDS_ONLY
    assert {job.settings.model for job in batches[0]} == {"shared-bottom"}


def test_a_reference_model_that_can_never_be_trained_ends_the_comparison() -> None:
    with pytest.raises(ComparisonError, match="task 'click' has one class"):
        play(choose_inputs(Settings(), DEFAULT_PRESETS, PLAN), lambda jobs: [Failure("task 'click' has one class")] * 3)


def test_trials_of_the_reference_model_are_those_that_chose_the_inputs() -> None:
    _, (chosen,) = play(choose_inputs(Settings(), DEFAULT_PRESETS, PLAN))
    _, (tried, *_) = play(part("shared-bottom"))
    assert {job.name for job in chosen} == {job.name for job in tried}


def test_trees_beside_a_network_change_its_tests_alone() -> None:
    plain, beside = (
        take_part("ours", make_settings({"ensemble": value}), IDS_ONLY, DEFAULT_PRESETS, PLAN)
        for value in (False, None)
    )
    names = [[{job.name for job in batch} for batch in play(course)[1]] for course in (plain, beside)]
    assert names[0][:3] == names[1][:3]
    assert not names[0][3] & names[1][3]
