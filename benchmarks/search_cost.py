"""What search and retraining cost, in trainings of one MMoE on the same encoded rows.

All of it as `automtl fit` does it. The choice of inputs is left out on both sides, being the same for every model; D,
batch, early stopping and checks are the same. The published schedule is timed for some steps and multiplied.

    python benchmarks/search_cost.py TABLE --task NAME ... [--drop NAME ...] [--split-column NAME]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from automtl.config import Settings
from automtl.data.encoder import Encoder
from automtl.data.split import split_table
from automtl.data.synthetic import synthetic_log
from automtl.data.table import read_table
from automtl.models.baselines import BASELINES
from automtl.models.network import build
from automtl.recipes import Roles, resolve_schema
from automtl.search import STRATEGIES
from automtl.search.base import SearchProblem
from automtl.search.differentiable import Run
from automtl.search.settings import published
from automtl.space import published_space
from automtl.training.fit import fit
from automtl.training.progress import silent
from common import report

PUBLISHED_STEPS = 3  # timed, of all those that the published schedule takes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", help="a synthetic log of 100,000 rows, if left out")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--split-column")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-rates", action="store_true", help="without historical rates")
    given = parser.parse_args()
    settings, seed = Settings(), given.seed
    table = read_table(given.table) if given.table else synthetic_log(100_000, users=2000, items=1000)
    tasks = given.task or ["click", "like", "buy", "cart"]
    schema = resolve_schema(table, tasks, Roles(drop=tuple(given.drop), split=given.split_column), None)
    split = split_table(table, schema, settings.split, seed)
    encoder, train = Encoder.fit(split.train, schema, replace(settings.encoder, rates=not given.no_rates), seed)
    valid, layout = encoder.encode(split.valid), encoder.layout

    network = BASELINES["mmoe"](layout, settings.network, torch.Generator().manual_seed(seed))
    mmoe = fit(network, train, valid, schema.tasks, settings.training, seed)

    space = published_space(settings.space, layout.num_tasks)
    problem = SearchProblem(space, layout, train, valid, settings.network, settings.training)
    found = STRATEGIES[settings.strategy](settings.search).search(problem, seed, silent)
    derived = build(space.narrow(found.architecture), layout, settings.network, seed)
    retrained = fit(derived, train, valid, schema.tasks, settings.training, seed)

    run = Run(problem, published(), seed)
    run.advance(silent)
    start = time.perf_counter()
    for _ in range(PUBLISHED_STEPS):
        run.advance(silent)
    published_seconds = (time.perf_counter() - start) / PUBLISHED_STEPS * run.schedule.total

    print(f"MMoE {mmoe.seconds:.1f} s, validation {mmoe.score:.4f}")
    print(f"search {found.seconds:.1f} s, retraining {retrained.seconds:.1f} s, validation {retrained.score:.4f}")
    print(f"published search about {published_seconds:.0f} s ({run.schedule.total} steps, {PUBLISHED_STEPS} timed)")
    report(
        "search-cost",
        {
            "mmoe": round((found.seconds + retrained.seconds) / mmoe.seconds, 2),
            "published_mmoe": round((published_seconds + retrained.seconds) / mmoe.seconds, 1),
            "validation_loss": {"mmoe": round(mmoe.score, 4), "automtl": round(retrained.score, 4)},
            "seed": seed,
        },
    )


if __name__ == "__main__":
    main()
