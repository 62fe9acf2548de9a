"""What search and retraining cost, in trainings of one MMoE, and what the progressive search loses to the published.

For each seed, on the same encoded rows: an MMoE trained to convergence; the progressive search and the retraining of
what it found, with the reference model and boosted trees beside it; and, if asked for, the published schedule's search
and retraining. The choice of inputs (three small reference models on validation rows: the validation trials) is made
once a seed and is the same for every model: `mmoe` leaves it out on both sides, `mmoe_same_trials` has it on both, as
the fit of either model has. D, batch, early stopping and checks are the same. Test rows are read once for each trained
model.

    python benchmarks/search_cost.py TABLE --task NAME ... [--drop NAME ...] [--split-column NAME] [--seeds 5]
        [--published] [--records FILE] [--user COLUMN --every 5]

The cost of the published schedule is estimated from some of its steps; `--published` runs it whole and compares test
AUC. `--records` keeps a line of JSON for each finished training, and a run goes on where an earlier one stopped;
`--only` makes one kind of them and no report. `--every 5` takes every fifth user.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from scipy.stats import ttest_rel

from automtl.config import Settings
from automtl.dataset.store import data_loader
from automtl.experiment import ColumnRoles, EncodedSource, Experiment, open_source
from automtl.search import published
from automtl.search.algorithm_one import AlgorithmOne
from automtl.search.settings import RegularizedSettings
from automtl.system.progress import ignore
from automtl.tables.synthetic import synthetic_log
from automtl.tables.table import read_table
from common import arguments, commit, report, run

PUBLISHED_STEPS = 3  # timed, of all those that the published schedule takes
Record = dict[str, Any]


def parsed() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("table", nargs="?", help="a synthetic log of 100,000 rows, if left out")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--split-column")
    parser.add_argument("--user", help="the column of users, for --every")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--only", choices=["mmoe", "progressive", "published"])
    parser.add_argument("--records", type=Path)
    return parser.parse_args()


class Records:
    """Finished trainings by seed and name, in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else []
        self.found: dict[tuple[int, str], Record] = {(r["seed"], r["name"]): r for r in map(json.loads, lines)}

    def get(self, seed: int, name: str, make: Callable[[], Record]) -> Record:
        """The record, made if it is not there."""
        if (seed, name) not in self.found:
            about = {"seed": seed, "name": name, "commit": commit(), "threads": torch.get_num_threads()}
            record = about | make()
            self.found[seed, name] = record
            print(json.dumps(record), flush=True)
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
        return self.found[seed, name]


class Seed:
    """All models of one seed; inputs are chosen when the first of them needs it, and are the same for all."""

    def __init__(self, given: argparse.Namespace, seed: int) -> None:
        self.given, self.seed = given, seed
        self.loading = ExitStack()
        self.choice: Experiment | None = None
        self.choice_seconds = 0.0

    def chosen(self) -> Experiment:
        """The choice of inputs that the reference model prefers."""
        if self.choice is None:
            given = self.given
            table = read_table(given.table) if given.table else synthetic_log(100_000, users=2000, items=1000)
            if given.every > 1:
                table = every_user(table, given.user, given.every)
            roles = ColumnRoles(drop=tuple(given.drop), split=given.split_column)
            tasks = given.task or ["click", "like", "buy", "cart"]
            source, settings = open_source(table, tasks, roles, None, Settings(), self.seed)
            start = time.perf_counter()
            loader = self.loading.enter_context(data_loader(settings.data_loader))
            self.choice = Experiment(EncodedSource(source, loader), settings, self.seed)
            self.choice.select_inputs()
            self.choice_seconds = time.perf_counter() - start
        return self.choice

    def experiment(self, **changes: Any) -> Experiment:
        """Another model on the chosen inputs."""
        choice = self.chosen()
        presets = tuple(one for one in choice.settings.presets if one.name == choice.inputs.preset)
        return Experiment(choice.source, replace(choice.settings, presets=presets, **changes), self.seed)

    def end(self) -> None:
        """Let the rows go."""
        self.choice = None
        self.loading.close()

    def inputs(self) -> Record:
        """The choice of inputs alone."""
        self.chosen()
        return {"choice_seconds": round(self.choice_seconds, 2)}

    def trained(self, experiment: Experiment) -> Record:
        """Train to convergence: seconds, validation score, test AUC by task."""
        result = experiment.train()
        return {
            "training_seconds": round(result.seconds, 2), "checks": len(result.evaluations), "valid": result.score,
            "test_auc": test_aucs(experiment), "preset": experiment.inputs.preset,
        }  # fmt: skip

    def mmoe(self) -> Record:
        return self.trained(self.experiment(model="mmoe"))

    def searched(self, **changes: Any) -> Record:
        """Search, retrain what was found, and put the others beside it."""
        experiment = self.experiment(**changes)
        found = experiment.search()
        record = self.trained(experiment)
        experiment.ensemble()
        return record | {
            "ensemble_seconds": round(experiment.seconds["ensemble"], 2), "test_auc_ensemble": test_aucs(experiment),
            "search_seconds": round(found.seconds, 2), "steps": found.history["steps"],
            "architecture": found.architecture.to_dict(),
        }  # fmt: skip

    def progressive(self) -> Record:
        return self.searched(strategy="progressive")

    def published(self) -> Record:
        return self.searched(strategy="automtl", search=published(RegularizedSettings))

    def published_steps(self) -> Record:
        """The published search's time, estimated."""
        strategy = AlgorithmOne(published(RegularizedSettings))
        run = strategy.begin(self.experiment().search_problem(), self.seed)
        run.advance(ignore)
        start = time.perf_counter()
        for _ in range(PUBLISHED_STEPS):
            run.advance(ignore)
        seconds = (time.perf_counter() - start) / PUBLISHED_STEPS * run.schedule.total
        return {"search_seconds": round(seconds, 1), "steps": run.schedule.total}


def every_user(table: pl.DataFrame, user: str, every: int) -> pl.DataFrame:
    """The rows of every n-th user, in the order of their ids."""
    users = table[user].unique().sort()
    return table.filter(pl.col(user).is_in(users.gather_every(every).implode()))


def test_aucs(experiment: Experiment) -> dict[str, float]:
    """AUC of the test rows by task."""
    tasks = experiment.evaluate(["test"])["test"]["tasks"]
    return {name: values["auc"] for name, values in tasks.items()}


def cost(record: Record) -> float:
    """Seconds of search, training and the reference model and boosted trees beside the network."""
    return cost_without_trees(record) + float(record.get("ensemble_seconds", 0.0))


def cost_without_trees(record: Record) -> float:
    """Seconds of search and training."""
    return float(record.get("search_seconds", 0.0)) + float(record["training_seconds"])


def median_ratio(tops: list[float], bottoms: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(tops, bottoms, strict=True)), 2)


def added(left: list[float], right: list[float]) -> list[float]:
    return [a + b for a, b in zip(left, right, strict=True)]


def compared(ours: list[Record], theirs: list[Record], of: str = "test_auc") -> dict[str, dict[str, float | None]]:
    """For each task the mean difference of test AUC over seeds, and the p-value of the paired t-test, if it has one."""
    found = {}
    for task in ours[0][of]:
        a, b = ([record[of][task] for record in records] for records in (ours, theirs))
        means = {"ours": statistics.fmean(a), "theirs": statistics.fmean(b)}
        p = float(ttest_rel(a, b).pvalue) if len(a) > 1 else math.nan  # of equal figures, too
        found[task] = {name: round(value, 5) for name, value in means.items()} | {
            "difference": round(means["ours"] - means["theirs"], 5), "p": None if math.isnan(p) else round(p, 4),
        }  # fmt: skip
    return found


def main() -> None:
    given = parsed()
    records = Records(given.records)
    seeds = [Seed(given, number) for number in range(given.first_seed, given.first_seed + given.seeds)]
    if given.only is not None:
        for seed in seeds:
            records.get(seed.seed, given.only, getattr(seed, given.only))
        return
    inputs, mmoe, ours, full = [], [], [], []
    for seed in seeds:
        inputs.append(records.get(seed.seed, "inputs", seed.inputs)["choice_seconds"])
        mmoe.append(records.get(seed.seed, "mmoe", seed.mmoe))
        ours.append(records.get(seed.seed, "progressive", seed.progressive))
        if given.published:
            full.append(records.get(seed.seed, "published", seed.published))
        seed.end()
    steps = records.get(given.first_seed, "published steps", seeds[0].published_steps)
    trainings, found = [cost(record) for record in mmoe], [cost_without_trees(record) for record in ours]
    figures: dict[str, Any] = {
        "table": Path(given.table).name if given.table else "synthetic", "every": given.every, "seeds": given.seeds,
        "mmoe": median_ratio(found, trainings),
        "mmoe_same_trials": median_ratio(added(found, inputs), added(trainings, inputs)),
        "mmoe_ensemble": median_ratio([cost(record) for record in ours], trainings),
        "seconds": {
            "inputs": inputs,
            "mmoe": [record["training_seconds"] for record in mmoe],
            "search": [record["search_seconds"] for record in ours],
            "retraining": [record["training_seconds"] for record in ours],
            "ensemble": [record["ensemble_seconds"] for record in ours],
        },
        "against_mmoe": compared(ours, mmoe),
    }  # fmt: skip
    whole = steps["search_seconds"] + ours[0]["training_seconds"]
    figures["published_mmoe"] = round(whole / trainings[0], 1)
    if full:
        figures["against_published"] = compared(ours, full)
        figures["ensemble_against_published_ensemble"] = compared(ours, full, "test_auc_ensemble")
    report("search-cost", figures, given.out)


if __name__ == "__main__":
    run(main)
