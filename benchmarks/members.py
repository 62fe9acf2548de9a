"""An ensemble inside one network against towers on gated sums: validation loss, AUC and seconds by number of members.

Trains a network of eight equal plain experts (linear pooling, two MLP layers, no interaction), which members share out,
with each number of members and seed. One member is the usual network, whose towers read sums gated over all experts.

    python benchmarks/members.py TABLE --task NAME ... --records FILE.jsonl [--drop NAME ...] [--split-column NAME]
        [--config FILE] [--rows 30000] [--members 1 2 4 8] [--seeds 2]

`--records` keeps a line of JSON for each finished training, and a run goes on where an earlier one stopped.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from automtl.config import read_settings
from automtl.models.network import build, count_parameters
from automtl.search import SearchProblem
from automtl.space import SpaceSettings, make_space
from automtl.training.fit import fit
from common import report, run
from headroom import Records, options, problem_of

PLAIN = SpaceSettings(
    interactions=("skip",), poolings=("linear",), expert_layers=("mlp-64",), layers=2, experts=8, selection=False
)


def training(problem: SearchProblem, members: int, seed: int) -> dict[str, Any]:
    """Train the network of plain experts with so many members."""
    space, start = make_space(PLAIN, problem.layout.num_tasks), time.perf_counter()
    network = build(space, problem.layout, replace(problem.network, members=members), seed)
    found = fit(network, problem.train, problem.valid, problem.layout.tasks, problem.training, seed)
    return {
        "score": found.score, "auc": found.evaluations[found.best].auc, "evaluations": len(found.evaluations),
        "parameters": count_parameters(network), "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def parsed() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 4, 8])
    return parser.parse_args()


def main() -> None:
    given = parsed()
    settings = read_settings(given.config)
    problem = problem_of(given, settings)
    about = {"table": Path(given.table).name, "tasks": given.task, "rows": len(problem.train)}
    records = Records(given.records, about | {name: settings.to_dict()[name] for name in ("network", "training")})
    found = {}
    for seed in range(given.seeds):
        for members in given.members:
            made = records.get(f"members {members} {seed}", lambda m=members, s=seed: training(problem, m, s))
            found[members, seed] = made
    figures = {}
    for members in given.members:
        runs = [found[members, seed] for seed in range(given.seeds)]
        figures[members] = {
            "score": round(statistics.mean(one["score"] for one in runs), 5),
            "auc": {task: round(statistics.mean(one["auc"][task] for one in runs), 5) for task in runs[0]["auc"]},
            "seconds": round(statistics.mean(one["seconds"] for one in runs), 1),
            "parameters": runs[0]["parameters"],
        }
    report("members", about | {"seeds": given.seeds, "members": figures}, given.out)


if __name__ == "__main__":
    run(main)
