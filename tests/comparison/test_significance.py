"""Better, worse and within noise, on models whose difference is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from automtl.comparison.candidates import CandidateResult
from automtl.comparison.p_values import holm
from automtl.comparison.significance import (
    ScoredRows,
    Significance,
    best_rival,
    overall_sentence,
    significance,
    significance_of_each,
)
from automtl.tables.schema import Task, TaskKind
from automtl.training.metrics import Rows, auc, rmse

TASKS = (Task("click"), Task("watch", TaskKind.REGRESSION))
SEEDS = range(4)


class Models:
    """Test rows and the scores of models on them. A model's signal is what its scores know of the labels."""

    def __init__(self, signals: dict[str, float], *, users: int | None = None, rows: int = 600) -> None:
        rng = np.random.default_rng(0)
        truth = rng.normal(0, 1, rows)
        labels = np.stack([truth + rng.normal(0, 1, rows) > 0, truth], axis=1).astype(np.float32)
        self.rows = {"labels": labels, "mask": np.ones_like(labels), "weight": np.ones(rows, np.float32)}
        if users is not None:
            self.rows["group"] = rng.integers(0, users, rows) * 7
        self.kept = {
            f"{name}-{seed}": np.stack([signal * truth + rng.normal(0, 1, rows) for _ in TASKS], axis=1)
            for name, signal in signals.items()
            for seed in SEEDS
        }

    def result(self, name: str, *, control: bool = False, validation: float | None = None) -> CandidateResult:
        tested = tuple(f"{name}-{seed}" for seed in SEEDS)
        seeds = []
        for record in tested:
            test = {
                "tasks": {
                    "click": {"auc": self._value(auc, record, 0)},
                    "watch": {"rmse": self._value(rmse, record, 1)},
                }
            }
            seeds.append({"test": test, "validation": test if validation is None else _constant(validation)})
        return CandidateResult(name, {"seeds": seeds, "searched": control, "failed": None}, tested)

    @property
    def scored(self) -> ScoredRows:
        return ScoredRows(self.rows, self.kept.__getitem__, TASKS, draws=200)

    def judge(self, reference: str, results: Sequence[CandidateResult]) -> dict[str, Any]:
        return significance(reference, results, self.scored)

    def _value(self, metric: Callable[[Rows], Any], record: str, task: int) -> float:
        labels, scores = self.rows["labels"][:, task], self.kept[record][:, task]
        return float(metric(Rows(labels.astype(float), scores, np.ones(len(labels)))))


def _constant(value: float) -> dict[str, Any]:
    return {"tasks": {"click": {"auc": value}, "watch": {"rmse": value}}}


@pytest.mark.parametrize("users", [None, 60])
def test_a_model_that_knows_more_is_better_and_the_other_way_round_worse(users: int | None) -> None:
    models = Models({"ours": 1.0, "mmoe": 0.4}, users=users)
    results = [models.result("ours", control=True), models.result("mmoe")]
    found, turned = models.judge("ours", results), models.judge("mmoe", results)
    for task in ("click", "watch"):
        assert (found[task]["conclusion"], turned[task]["conclusion"]) == ("better", "worse")
        assert found[task]["difference"] > 0 and found[task]["difference"] == -turned[task]["difference"]
        low, high = found[task]["interval"]
        assert 0 < low < found[task]["difference"] < high
    gain = found["click"]["ours"] - found["click"]["theirs"]
    assert found["click"]["difference"] == pytest.approx(gain)
    assert found["watch"]["difference"] == pytest.approx(found["watch"]["theirs"] - found["watch"]["ours"])


def test_two_models_alike_are_within_noise() -> None:
    models = Models({"ours": 0.6, "mmoe": 0.6})
    found = models.judge("ours", [models.result("ours"), models.result("mmoe")])
    assert {one["conclusion"] for one in found.values()} == {"within noise"}


def test_rows_alone_or_seeds_alone_do_not_make_it_better() -> None:
    """One seed has no t-test; few rows have a wide interval, however sure the seeds are."""
    models = Models({"ours": 1.0, "mmoe": 0.4})
    one = [
        CandidateResult(one.name, one.entry | {"seeds": one.entry["seeds"][:1]}, one.tests[:1])
        for one in map(models.result, ("ours", "mmoe"))
    ]
    found = models.judge("ours", one)["click"]
    assert found["t_p"] is None and found["bootstrap_p"] < 0.05 and found["conclusion"] == "within noise"
    few = Models({"ours": 1.0, "mmoe": 0.9}, rows=24)
    for name in few.kept:
        few.kept[name] = few.kept[f"{name.split('-')[0]}-0"] + int(name[-1]) * 1e-3
    found = few.judge("ours", [few.result("ours"), few.result("mmoe")])["click"]
    assert found["holm_t_p"] == (0 if found["difference"] else 1) and found["conclusion"] == "within noise"


def test_the_rival_is_the_best_on_validation_rows_not_on_test_rows() -> None:
    models = Models({"ours": 0.5, "weak": 0.2, "strong": 0.8})
    results = [
        models.result("ours", control=True),
        models.result("weak", validation=0.9),
        models.result("strong", validation=0.1),
    ]
    found = models.judge("ours", results)
    assert found["click"]["rival"] == "weak"
    assert found["watch"]["rival"] == "strong"  # of RMSE the smaller one


def test_controls_are_rivals_only_where_there_is_no_published_model() -> None:
    models = Models({"ours": 0.5, "random": 0.9, "mmoe": 0.3})
    ours, control, mmoe = (
        models.result("ours", control=True),
        models.result("random", control=True),
        models.result("mmoe"),
    )
    assert models.judge("ours", [ours, control, mmoe])["click"]["rival"] == "mmoe"
    assert models.judge("ours", [ours, control])["click"]["rival"] == "random"


def test_a_task_whose_metric_is_undefined_is_not_judged_and_leaves_the_others() -> None:
    models = Models({"ours": 1.0, "mmoe": 0.4})
    results = [models.result("ours"), models.result("mmoe")]
    for result in results:
        for seed in result.entry["seeds"]:
            seed["test"]["tasks"]["click"]["auc"] = {"undefined": "every label is 1"}
    assert best_rival(results[1:], TASKS[0]) is None
    found = models.judge("ours", results)
    assert found["click"]["conclusion"] == "undefined" and "cannot be judged on click" in found["click"]["sentence"]
    assert found["watch"]["conclusion"] == "better"


def test_p_values_are_corrected_over_tasks() -> None:
    models = Models({"ours": 1.0, "mmoe": 0.4})
    found = models.judge("ours", [models.result("ours"), models.result("mmoe")])
    for name in ("t_p", "bootstrap_p"):
        raw = sorted(one[name] for one in found.values())
        assert min(one[f"holm_{name}"] for one in found.values()) == pytest.approx(2 * raw[0])


def test_against_every_other_one_p_values_are_corrected_over_all() -> None:
    models = Models({"ours": 1.0, "worse": 0.5, "alike": 1.0})
    ours, *others = (models.result(name) for name in ("ours", "worse", "alike"))
    found = significance_of_each("ours", [ours, *others], models.scored)
    assert {name: of["click"]["conclusion"] for name, of in found.items()} == {
        "worse": "better",
        "alike": "within noise",
    }
    every = [one for of in found.values() for one in of.values()]
    assert len(every) == 4
    for name in ("t_p", "bootstrap_p"):
        assert [one[f"holm_{name}"] for one in every] == holm([one[name] for one in every])
    assert all("within noise" in one["sentence"] for one in every if one["conclusion"] == "within noise")


def test_sentences_say_it_plainly() -> None:
    better = Significance("auc", "ple", 0.71, 0.7079, 0.0021, (0.0012, 0.0031), 0.01, 1e-5, 0.0132, 0.00005)
    assert better.sentence("automtl", "click") == (
        "automtl is better than ple on click: AUC +.0021 (95 % interval +.0012 to +.0031), "
        "p = .0132 over seeds, <.0001 over rows"
    )
    noise = replace(better, metric="rmse", holm_t_p=None).sentence("automtl", "watch")
    assert noise.startswith(
        "automtl and ple are within noise on watch: RMSE -.0021 (95 % interval -.0031 to -.0012), p = <.0001 over rows"
    )
    found = {name: {"conclusion": of} for name, of in zip("abc", ("better", "better", "within noise"), strict=True)}
    assert re.search("each of 3 tasks: better on 2, within noise on 1$", overall_sentence("automtl", found))
    assert "no rival" in overall_sentence("automtl", {})
