"""Better, worse and within noise, on models whose difference is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from automtl.comparison.significance import Entrant, best_rival, judge, judge_each, overall, sentence
from automtl.comparison.statistics import holm
from automtl.tables.schema import Task, TaskKind
from automtl.training.metrics import Rows, auc, rmse

TASKS = (Task("click"), Task("watch", TaskKind.REGRESSION))
SEEDS = range(4)


class Field:
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

    def entrant(self, name: str, *, control: bool = False, validation: float | None = None) -> Entrant:
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
        return Entrant(name, control, {"seeds": seeds}, tested)

    def judge(self, reference: str, entrants: Sequence[Entrant]) -> dict[str, Any]:
        return judge(reference, entrants, self.rows, self.kept.__getitem__, TASKS, draws=200)

    def _value(self, metric: Callable[[Rows], Any], record: str, task: int) -> float:
        labels, scores = self.rows["labels"][:, task], self.kept[record][:, task]
        return float(metric(Rows(labels.astype(float), scores, np.ones(len(labels)))))


def _constant(value: float) -> dict[str, Any]:
    return {"tasks": {"click": {"auc": value}, "watch": {"rmse": value}}}


@pytest.mark.parametrize("users", [None, 60])
def test_a_model_that_knows_more_is_better_and_the_other_way_round_worse(users: int | None) -> None:
    field = Field({"ours": 1.0, "mmoe": 0.4}, users=users)
    entrants = [field.entrant("ours", control=True), field.entrant("mmoe")]
    found, turned = field.judge("ours", entrants), field.judge("mmoe", entrants)
    for task in ("click", "watch"):
        assert (found[task]["verdict"], turned[task]["verdict"]) == ("better", "worse")
        assert found[task]["difference"] > 0 and found[task]["difference"] == -turned[task]["difference"]
        low, high = found[task]["interval"]
        assert 0 < low < found[task]["difference"] < high
    gain = found["click"]["ours"] - found["click"]["theirs"]
    assert found["click"]["difference"] == pytest.approx(gain)
    assert found["watch"]["difference"] == pytest.approx(found["watch"]["theirs"] - found["watch"]["ours"])


def test_two_models_alike_are_within_noise() -> None:
    field = Field({"ours": 0.6, "mmoe": 0.6})
    found = field.judge("ours", [field.entrant("ours"), field.entrant("mmoe")])
    assert {verdict["verdict"] for verdict in found.values()} == {"within noise"}


def test_rows_alone_or_seeds_alone_do_not_make_it_better() -> None:
    """One seed has no t-test; few rows have a wide interval, however sure the seeds are."""
    field = Field({"ours": 1.0, "mmoe": 0.4})
    one = [
        Entrant(e.name, e.control, {"seeds": e.entry["seeds"][:1]}, e.tested[:1])
        for e in map(field.entrant, ("ours", "mmoe"))
    ]
    found = field.judge("ours", one)["click"]
    assert found["t_p"] is None and found["bootstrap_p"] < 0.05 and found["verdict"] == "within noise"
    few = Field({"ours": 1.0, "mmoe": 0.9}, rows=24)
    for name in few.kept:
        few.kept[name] = few.kept[f"{name.split('-')[0]}-0"] + int(name[-1]) * 1e-3
    found = few.judge("ours", [few.entrant("ours"), few.entrant("mmoe")])["click"]
    assert found["holm_t_p"] == (0 if found["difference"] else 1) and found["verdict"] == "within noise"


def test_the_rival_is_the_best_on_validation_rows_not_on_test_rows() -> None:
    field = Field({"ours": 0.5, "weak": 0.2, "strong": 0.8})
    entrants = [
        field.entrant("ours", control=True),
        field.entrant("weak", validation=0.9),
        field.entrant("strong", validation=0.1),
    ]
    found = field.judge("ours", entrants)
    assert found["click"]["rival"] == "weak"
    assert found["watch"]["rival"] == "strong"  # of RMSE the smaller one


def test_controls_are_rivals_only_where_there_is_no_published_model() -> None:
    field = Field({"ours": 0.5, "random": 0.9, "mmoe": 0.3})
    ours, control, mmoe = (
        field.entrant("ours", control=True),
        field.entrant("random", control=True),
        field.entrant("mmoe"),
    )
    assert field.judge("ours", [ours, control, mmoe])["click"]["rival"] == "mmoe"
    assert field.judge("ours", [ours, control])["click"]["rival"] == "random"


def test_a_task_whose_metric_is_undefined_is_not_judged_and_leaves_the_others() -> None:
    field = Field({"ours": 1.0, "mmoe": 0.4})
    entrants = [field.entrant("ours"), field.entrant("mmoe")]
    for entrant in entrants:
        for seed in entrant.entry["seeds"]:
            seed["test"]["tasks"]["click"]["auc"] = {"undefined": "every label is 1"}
    assert best_rival(entrants[1:], TASKS[0]) is None
    found = field.judge("ours", entrants)
    assert found["click"]["verdict"] == "undefined" and "cannot be judged on click" in found["click"]["sentence"]
    assert found["watch"]["verdict"] == "better"


def test_p_values_are_corrected_over_tasks() -> None:
    field = Field({"ours": 1.0, "mmoe": 0.4})
    found = field.judge("ours", [field.entrant("ours"), field.entrant("mmoe")])
    for name in ("t_p", "bootstrap_p"):
        raw = sorted(verdict[name] for verdict in found.values())
        assert min(verdict[f"holm_{name}"] for verdict in found.values()) == pytest.approx(2 * raw[0])


def test_against_every_other_one_p_values_are_corrected_over_all() -> None:
    field = Field({"ours": 1.0, "worse": 0.5, "alike": 1.0})
    ours, *others = (field.entrant(name) for name in ("ours", "worse", "alike"))
    found = judge_each("ours", [ours, *others], field.rows, field.kept.__getitem__, TASKS)
    assert {name: of["click"]["verdict"] for name, of in found.items()} == {"worse": "better", "alike": "within noise"}
    every = [verdict for of in found.values() for verdict in of.values()]
    assert len(every) == 4
    for name in ("t_p", "bootstrap_p"):
        assert [verdict[f"holm_{name}"] for verdict in every] == holm([verdict[name] for verdict in every])
    assert all("within noise" in verdict["sentence"] for verdict in every if verdict["verdict"] == "within noise")


def test_sentences_say_it_plainly() -> None:
    verdict = {
        "metric": "auc", "rival": "ple", "difference": 0.0021, "interval": [0.0012, 0.0031], "holm_t_p": 0.0132,
        "holm_bootstrap_p": 0.00005, "verdict": "better",
    }  # fmt: skip
    assert sentence("automtl", "click", verdict) == (
        "automtl is better than ple on click: AUC +.0021 (95 % interval +.0012 to +.0031), "
        "p = .0132 over seeds, <.0001 over rows"
    )
    noise = sentence("automtl", "watch", verdict | {"metric": "rmse", "verdict": "within noise", "holm_t_p": None})
    assert noise.startswith(
        "automtl and ple are within noise on watch: RMSE -.0021 (95 % interval -.0031 to -.0012), p ="
    )
    verdicts = {"click": verdict, "buy": verdict, "like": verdict | {"verdict": "within noise"}}
    assert re.search("each of 3 tasks: better on 2, within noise on 1$", overall("automtl", verdicts))
    assert "no rival" in overall("automtl", {})
