"""The protocol of a candidate, step by step, with outcomes made up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from automtl.comparison.candidates import CandidateResult
from automtl.comparison.process_pool import Failure
from automtl.comparison.protocol import Plan, Protocol
from automtl.comparison.scheduler import Outcome
from automtl.comparison.trials import Kind, Trial
from automtl.config import DEFAULT_PRESETS, InputPreset, Settings, make_settings
from automtl.errors import ComparisonError
from automtl.tables.schema import Field, FieldKind, Schema, Task

SCHEMA = Schema((Field("user", FieldKind.CATEGORICAL),), (Task("click"),), target_encoding=(("user",),))
PLAN = Plan(seeds=(0, 1), trials=5)
IDS_ONLY = DEFAULT_PRESETS[2]
Batches = list[Sequence[Trial]]
Answer = Callable[[Sequence[Trial]], list[Outcome]]


def outcome(trial: Trial, score: float = 0.5) -> dict[str, Any]:
    """A result as a trial would write it."""
    metrics = {"tasks": {"click": {"auc": 0.7}}, "mtl_loss": 0.4}
    return {
        "score": score, "seed": trial.seed, "architecture": {"of": trial.seed}, "seconds": 2.0, "peak_memory_bytes": 9,
        "validation": metrics, "test": metrics, "parameters": 3, "flops_per_row": 4, "trial_seconds": 1.0,
    }  # fmt: skip


def protocol(
    settings: Settings, *answers: Answer | None, plan: Plan = PLAN, presets: Sequence[InputPreset] = DEFAULT_PRESETS
) -> tuple[Protocol, Batches]:
    """A protocol, and the batches of trials that it will have asked for. `answers`: outcomes of each batch."""
    batches: Batches = []

    async def run(trials: Sequence[Trial]) -> list[Outcome]:
        if not trials:
            return []
        batches.append(trials)
        answer = answers[len(batches) - 1] if len(batches) <= len(answers) else None
        return answer(trials) if answer else [outcome(trial) for trial in trials]

    return Protocol("ours", settings, presets, plan, run), batches


def play(
    settings: Settings, *answers: Answer | None, plan: Plan = PLAN, presets: Sequence[InputPreset] = DEFAULT_PRESETS
) -> tuple[CandidateResult, Batches]:
    made, batches = protocol(settings, *answers, plan=plan, presets=presets)
    return asyncio.run(made.complete(IDS_ONLY)), batches


PROGRESSIVE = make_settings({"strategy": "progressive"})
MMOE, REFERENCE = make_settings({"model": "mmoe"}), make_settings({"model": "shared-bottom"})


def test_a_searched_model_is_searched_for_each_seed_tuned_at_the_first_and_tested_once_for_each() -> None:
    result, batches = play(PROGRESSIVE)
    assert [[(trial.kind, trial.seed) for trial in batch] for batch in batches] == [
        [(Kind.SEARCH, 0), (Kind.SEARCH, 1)],
        [(Kind.TUNING, 0)] * 3,
        [(Kind.TUNING, 0)] * 2,
        [(Kind.TEST, 0), (Kind.TEST, 1)],
    ]
    assert protocol(PROGRESSIVE)[0].planned == Counter(trial.kind for batch in batches for trial in batch)
    assert [trial.architecture for trial in batches[3]] == [{"of": 0}, {"of": 1}]
    assert len({trial.name for batch in batches for trial in batch}) == 9
    assert not result.failed and result.tests == tuple(trial.name for trial in batches[3])
    assert [seed["seconds"] for seed in result.entry["seeds"]] == [{"search": 2.0, "training": 2.0}] * 2


def test_a_model_that_tunes_itself_is_only_tested() -> None:
    result, batches = play(Settings())
    assert [[(trial.kind, trial.seed) for trial in batch] for batch in batches] == [[(Kind.TEST, 0), (Kind.TEST, 1)]]
    assert protocol(Settings())[0].planned == Counter({Kind.TEST: 2})
    assert all(trial.architecture is None and trial.settings.presets == DEFAULT_PRESETS for trial in batches[0])
    assert not result.failed and result.tests == tuple(trial.name for trial in batches[0])
    alone = play(make_settings({"ensemble": False}))[1]
    assert not {trial.name for trial in batches[0]} & {trial.name for trial in alone[0]}


def test_without_training_a_model_is_searched_alone_by_the_same_trials() -> None:
    plan = Plan((0, 1), 1, trains=False)
    result, batches = play(PROGRESSIVE, plan=plan)
    assert [[trial.name for trial in batch] for batch in batches] == [[trial.name for trial in play(PROGRESSIVE)[1][0]]]
    assert protocol(PROGRESSIVE, plan=plan)[0].planned == Counter({Kind.SEARCH: 2})
    assert [search["architecture"] for search in result.searches] == [{"of": 0}, {"of": 1}]
    assert result.tests == () and not result.failed


def test_the_search_is_done_under_default_settings_and_tests_under_the_best_point_of_validation_rows() -> None:
    def second_is_best(trials: Sequence[Trial]) -> list[Outcome]:
        return [outcome(trial, score) for trial, score in zip(trials, (0.9, 0.1), strict=True)]

    result, (searches, inputs, further, tests) = play(PROGRESSIVE, None, None, second_is_best)
    assert [trial.settings.presets[0].name for trial in inputs] == [
        "ids only",
        "all inputs, strong decay",
        "all inputs",
    ]
    assert searches[0].settings == inputs[0].settings
    assert {trial.settings.presets[0].name for trial in further} == {"ids only"}  # the first of equal scores
    assert tests[0].settings == further[1].settings
    assert result.entry["tuning"]["chosen"] == result.entry["tuning"]["trials"][4]["settings"]


def test_one_trial_is_the_default_settings_for_all() -> None:
    result, batches = play(MMOE, plan=Plan((0, 1), 1))
    assert [[trial.kind for trial in batch] for batch in batches] == [[Kind.TEST, Kind.TEST]]
    assert batches[0][0].settings.presets[0].name == "ids only"
    assert result.entry["tuning"]["trials"] == [{"settings": result.entry["tuning"]["chosen"], "score": None}]


def test_trees_judge_their_inputs_themselves() -> None:
    presets, plan = (DEFAULT_PRESETS[0], IDS_ONLY), Plan((0,), 1)
    _, batches = play(make_settings({"model": "lightgbm"}), plan=plan, presets=presets)
    assert [trial.settings.presets[0].name for trial in batches[0]] == ["ids only", "all inputs, strong decay"]


def test_a_failed_trial_is_reported_and_leaves_the_others() -> None:
    def one_fails(trials: Sequence[Trial]) -> list[Outcome]:
        return [outcome(trials[0]), Failure("no memory"), outcome(trials[2])]

    result, _ = play(MMOE, one_fails)
    assert not result.failed
    assert result.entry["tuning"]["trials"][1]["failed"] == "no memory"


def test_a_model_whose_default_settings_or_tests_fail_has_failed() -> None:
    def fails(trials: Sequence[Trial]) -> list[Outcome]:
        return [Failure("regression"), *(outcome(trial) for trial in trials[1:])]

    for answers in ((fails,), (None, None, fails)):
        result, batches = play(MMOE, *answers)
        assert result.entry["failed"] == "regression" and result.entry["seeds"] == []
        assert len(batches) == len(answers)


def choose(*answers: Answer, presets: Sequence[InputPreset] = DEFAULT_PRESETS) -> tuple[InputPreset, Batches]:
    made, batches = protocol(REFERENCE, *answers, presets=presets)
    return asyncio.run(made.choose_inputs()), batches


def test_the_reference_model_chooses_the_inputs_on_validation_rows() -> None:
    def last_is_best(trials: Sequence[Trial]) -> list[Outcome]:
        return [outcome(trial, score) for trial, score in zip(trials, (0.9, 0.8, 0.7), strict=True)]

    assert choose(last_is_best)[0] == IDS_ONLY
    assert choose(presets=(IDS_ONLY,)) == (IDS_ONLY, [])  # nothing to choose


def test_a_reference_model_that_can_never_be_trained_ends_the_comparison() -> None:
    with pytest.raises(ComparisonError, match="task 'click' has one class"):
        choose(lambda trials: [Failure("task 'click' has one class")] * 3)


def test_trials_of_the_reference_model_are_those_that_chose_the_inputs() -> None:
    (_, (chosen,)), (_, (tried, *_)) = choose(), play(REFERENCE)
    assert {trial.name for trial in chosen} == {trial.name for trial in tried}


def test_trees_beside_a_network_change_its_tests_alone() -> None:
    plain, beside = (play(make_settings({"strategy": "progressive", "ensemble": value}))[1] for value in (False, None))
    names = [[{trial.name for trial in batch} for batch in batches] for batches in (plain, beside)]
    assert names[0][:3] == names[1][:3]
    assert not names[0][3] & names[1][3]
