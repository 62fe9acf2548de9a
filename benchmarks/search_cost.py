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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from automtl.experiment.ensemble import blended
from scipy.stats import ttest_rel
from torch import nn

from automtl.config import Settings
from automtl.dataset.store import data_loader
from automtl.experiment import ColumnRoles, Prepared, choose_variant, open_source
from automtl.experiment.source import Source
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.models.network import build
from automtl.models.registry import MODELS
from automtl.predictor import ModelSpec
from automtl.search import SearchProblem, SearchResult, published
from automtl.search.algorithm_one import AlgorithmOne, AlgorithmOneSettings
from automtl.search.progressive import Progressive, ProgressiveSettings
from automtl.space import published_space
from automtl.system.progress import ignore
from automtl.tables.schema import Task
from automtl.tables.synthetic import synthetic_log
from automtl.tables.table import read_table
from automtl.training.fit import fit, predict_logits
from automtl.training.metrics import fast_auc, task_rows
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
    """All models of one seed; data are prepared when the first of them needs it."""

    def __init__(self, given: argparse.Namespace, seed: int) -> None:
        self.given, self.seed, self.settings = given, seed, Settings()
        self.source: Source | None = None
        self.made: Prepared | None = None
        self.choice_seconds = 0.0

    def data(self) -> Prepared:
        """Encoded rows under the inputs that the reference model prefers."""
        if self.made is None:
            given = self.given
            table = read_table(given.table) if given.table else synthetic_log(100_000, users=2000, items=1000)
            if given.every > 1:
                table = every_user(table, given.user, given.every)
            roles = ColumnRoles(drop=tuple(given.drop), split=given.split_column)
            tasks = given.task or ["click", "like", "buy", "cart"]
            self.source, self.settings = open_source(table, tasks, roles, None, self.settings, self.seed)
            start = time.perf_counter()
            with data_loader(self.settings.data_loader) as loader:
                self.made, _ = choose_variant(self.source, self.settings, self.seed, loader, ignore)
            self.choice_seconds = time.perf_counter() - start
        return self.made

    def test(self, encoder: Encoder) -> Batch:
        """Encoded test rows."""
        assert self.source is not None
        with data_loader(self.settings.data_loader) as loader:
            return self.source.test(encoder, loader, like=self.data().train)

    def inputs(self) -> Record:
        """The choice of inputs alone."""
        self.data()
        return {"choice_seconds": round(self.choice_seconds, 2)}

    def trained(self, network: nn.Module, *, beside: bool = False) -> Record:
        """Train to convergence: seconds, validation score, test AUC by task; with others beside it, too."""
        prepared = self.data()
        tasks = prepared.encoder.schema.tasks
        result = fit(network, prepared.train, prepared.valid, tasks, prepared.training, self.seed)
        record = {
            "training_seconds": round(result.seconds, 2), "checks": len(result.checks), "valid": result.score,
            "test_auc": test_aucs(network, self.test(prepared.encoder), tasks), "preset": prepared.preset,
        }  # fmt: skip
        if not beside:
            return record
        start, spec = time.perf_counter(), ModelSpec("automtl", prepared.network)
        both, _, rows = blended(network, spec, prepared, self.settings, self.seed)
        record["blend_seconds"] = round(time.perf_counter() - start, 2)
        return record | {"test_auc_blended": test_aucs(both, self.test(rows.encoder), tasks)}

    def mmoe(self) -> Record:
        prepared = self.data()
        generator = torch.Generator().manual_seed(self.seed)
        return self.trained(MODELS.find("mmoe")(prepared.encoder.layout, prepared.network, generator))

    def problem(self) -> SearchProblem:
        prepared = self.data()
        layout = prepared.encoder.layout
        space = published_space(self.settings.space, layout.num_tasks)
        return SearchProblem(
            space, layout, prepared.train, prepared.valid, prepared.network, prepared.training, prepared.embedding
        )

    def searched(self, found: SearchResult) -> Record:
        """Retrain what a search found."""
        prepared = self.data()
        space = self.problem().space.narrow(found.architecture)
        record = self.trained(build(space, prepared.encoder.layout, prepared.network, self.seed), beside=True)
        return record | {
            "search_seconds": round(found.seconds, 2), "steps": found.history["steps"],
            "architecture": found.architecture.to_dict(),
        }  # fmt: skip

    def progressive(self) -> Record:
        strategy = Progressive(ProgressiveSettings())
        return self.searched(strategy.search(self.problem(), self.seed, ignore))

    def published(self) -> Record:
        return self.searched(AlgorithmOne(published(AlgorithmOneSettings)).search(self.problem(), self.seed, ignore))

    def published_steps(self) -> Record:
        """The published search's time, estimated."""
        run = AlgorithmOne(published(AlgorithmOneSettings)).begin(self.problem(), self.seed)
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


def test_aucs(model: nn.Module, test: Batch, tasks: Sequence[Task]) -> dict[str, float]:
    logits = predict_logits(model, test).numpy()
    rows = [task_rows(logits[:, index], test, index) for index in range(len(tasks))]
    return {task.name: fast_auc(r) for task, r in zip(tasks, rows, strict=True)}


def cost(record: Record) -> float:
    """Seconds of search, training and the reference model and boosted trees beside the network."""
    return cost_without_trees(record) + float(record.get("blend_seconds", 0.0))


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
        seed.made = None
    steps = records.get(given.first_seed, "published steps", seeds[0].published_steps)
    trainings, found = [cost(record) for record in mmoe], [cost_without_trees(record) for record in ours]
    figures: dict[str, Any] = {
        "table": Path(given.table).name if given.table else "synthetic", "every": given.every, "seeds": given.seeds,
        "mmoe": median_ratio(found, trainings),
        "mmoe_same_trials": median_ratio(added(found, inputs), added(trainings, inputs)),
        "mmoe_blended": median_ratio([cost(record) for record in ours], trainings),
        "seconds": {
            "inputs": inputs,
            "mmoe": [record["training_seconds"] for record in mmoe],
            "search": [record["search_seconds"] for record in ours],
            "retraining": [record["training_seconds"] for record in ours],
            "blend": [record["blend_seconds"] for record in ours],
        },
        "against_mmoe": compared(ours, mmoe),
    }  # fmt: skip
    whole = steps["search_seconds"] + ours[0]["training_seconds"]
    figures["published_mmoe"] = round(whole / trainings[0], 1)
    if full:
        figures["against_published"] = compared(ours, full)
        figures["blended_against_published_blended"] = compared(ours, full, "test_auc_blended")
    report("search-cost", figures, given.out)


if __name__ == "__main__":
    run(main)
