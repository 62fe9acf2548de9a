"""What expert selection reads from the data: searches on true labels against searches on shuffled ones.

Runs Algorithm 1, with its auxiliary loss and without, on the labels of a table and on the same labels in a random order
of rows, and on true labels with another seed. Prints the share of the tasks' selected experts that two searches have in
common, and what chance gives. A selection that reads the data differs between true and shuffled labels, and is alike
for two seeds only up to the numbering of experts, which new networks do not share.

    python benchmarks/selection_control.py TABLE --task NAME ... --records FILE.jsonl [--drop NAME ...]
        [--split-column NAME] [--config FILE] [--rows 30000] [--steps 300] [--seeds 2]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from automtl.config import read_settings
from automtl.features.batch import Batch
from automtl.search import SearchProblem
from automtl.search.algorithm_one import AlgorithmOne
from automtl.search.settings import RegularizedSettings
from automtl.system.progress import ignore
from common import report, run
from headroom import Records, options, problem_of

Selection = list[list[int]]


def shuffled(rows: Batch, seed: int) -> Batch:
    """Give the rows the labels of other rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return replace(rows, labels=rows.labels[order], mask=rows.mask[order])


def selection(problem: SearchProblem, given: argparse.Namespace, *, auxiliary: bool, seed: int) -> dict[str, Any]:
    """Search, and return the experts that each task keeps, numbered as in the supernet."""
    settings = RegularizedSettings(auxiliary_loss=auxiliary, min_steps=given.steps, max_steps=given.steps)
    search = AlgorithmOne(settings).begin(problem, seed)
    while not search.finished:
        search.advance(ignore)
    return {"selection": [list(chosen) for chosen in search.state.supernet.selected()]}


def agreement(one: Selection, other: Selection) -> float:
    """Return the mean share of a task's experts that two searches both chose."""
    return statistics.mean(len(set(a) & set(b)) / len(a) for a, b in zip(one, other, strict=True))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    settings = read_settings(given.config)
    true = problem_of(given, settings)
    false = replace(true, train=shuffled(true.train, 0), valid=shuffled(true.valid, 1))
    about = {"table": Path(given.table).name, "tasks": given.task, "rows": len(true.train), "steps": given.steps}
    records = Records(given.records, about)
    figures: dict[str, Any] = {"chance": round(true.space.keep / true.space.num_experts, 3)}
    for auxiliary in (True, False):
        name = "with auxiliary loss" if auxiliary else "without auxiliary loss"
        made = {
            (labels, seed): records.get(
                f"{name}, {labels} labels, seed {seed}",
                lambda p=problem, a=auxiliary, s=seed: selection(p, given, auxiliary=a, seed=s),
            )["selection"]
            for seed in range(given.seeds)
            for labels, problem in (("true", true), ("shuffled", false))
        }
        seeds = range(given.seeds)
        figures[name] = {
            "true and shuffled, same seed": round(
                statistics.mean(agreement(made["true", seed], made["shuffled", seed]) for seed in seeds), 3
            ),
            "true, two seeds": round(
                statistics.mean(agreement(made["true", a], made["true", b]) for a, b in combinations(seeds, 2)), 3
            ),
        }
    report("selection-control", about | figures, given.out)


if __name__ == "__main__":
    run(main)
