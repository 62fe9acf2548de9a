"""What each balancing of task losses gives and costs: published models, trained alike but for it.

    python benchmarks/balancing.py TABLE --task NAME ... [--drop NAME ...] [--split-column NAME] [--model NAME ...]

On the encoded rows that the reference model prefers (chosen with equal weights, for all). Seconds are the processor's,
of an epoch and its look at the validation rows; `times`: over those of equal weights. Test rows are read once for each
trained model.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from automtl.config import Settings
from automtl.dataset.store import data_loader
from automtl.experiment import ColumnRoles, EncodedSource, Experiment, open_source
from automtl.experiment.inputs import ModelInputs
from automtl.features.batch import Batch
from automtl.models.registry import MODELS
from automtl.tables.synthetic import synthetic_log
from automtl.tables.table import read_table
from automtl.training.balancing import find_balancing
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.metrics import fast_auc, task_rows
from automtl.training.settings import BALANCINGS
from common import arguments, report, run


def parsed() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("table", nargs="?", help="a synthetic log of 20,000 rows, if left out")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--split-column")
    parser.add_argument("--model", action="append", default=[], help="mmoe and shared-bottom, if left out")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def prepare(given: argparse.Namespace) -> tuple[ModelInputs, Batch]:
    """Encoded rows under the inputs that the reference model prefers, and the encoded test rows."""
    table = read_table(given.table) if given.table else synthetic_log(20_000)
    roles, settings = ColumnRoles(drop=tuple(given.drop), split=given.split_column), Settings()
    tasks = given.task or ["click", "like", "buy", "cart"]
    source, settings = open_source(table, tasks, roles, None, settings, given.seed)
    with data_loader(settings.data_loader) as loader:
        experiment = Experiment(EncodedSource(source, loader), settings, given.seed)
        inputs = experiment.select_inputs()
        return inputs, experiment.source.test(inputs.rows)


def train(inputs: ModelInputs, test: Batch, name: str, balancing: Any, seed: int) -> dict[str, Any]:
    """One model: its validation score, test AUC by task, and time."""
    rows, layout = inputs.rows, inputs.rows.encoder.layout
    model = MODELS.find(name)(layout, inputs.network, torch.Generator().manual_seed(seed))
    training = replace(inputs.training, balancing=balancing)
    find_balancing(training, nn.Module(), torch.ones(2))  # the packages are imported before the clock runs
    start = time.process_time()
    result = fit(model, rows.train, rows.valid, layout.tasks, training, seed)
    seconds = time.process_time() - start
    logits = predict_logits(model, test).numpy()
    scored = [task_rows(logits[:, index], test, index) for index in range(layout.num_tasks)]
    return {
        "model": name, "balancing": balancing, "validation": round(result.score, 5),
        "test_auc": [round(fast_auc(r), 5) for r in scored],
        "checks": len(result.evaluations), "best": result.best,
        "seconds_per_check": round(seconds / len(result.evaluations), 3),
    }  # fmt: skip


def main() -> None:
    given = parsed()
    inputs, test = prepare(given)
    found = []
    for name in given.model or ["mmoe", "shared-bottom"]:
        trained = [train(inputs, test, name, balancing, given.seed) for balancing in BALANCINGS]
        for record in trained:
            record["times"] = round(record["seconds_per_check"] / trained[0]["seconds_per_check"], 2)
            print(record, flush=True)
        found += trained
    report("balancing", {"preset": inputs.preset, "seed": given.seed, "found": found}, given.out, ["torchjd"])


if __name__ == "__main__":
    run(main)
