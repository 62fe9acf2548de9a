"""What each member of an ensemble is worth: test AUC of the searched network with others beside it or without.

The members are trained once a seed on the same encoded rows: the searched network, reference models under each input
preset, boosted trees with target encoding and without. Weights are chosen on validation rows as in a fit. Prints a line
a seed and log.

    python benchmarks/ensemble.py TABLE --task NAME ... [--drop NAME ...] [--split-column NAME] [--seeds 1]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from automtl.config import Settings
from automtl.dataset.store import DataLoader, data_loader
from automtl.ensemble.ensemble import best_weights, boosted
from automtl.experiment import ColumnRoles, EncodedSource, Experiment, open_source
from automtl.experiment.inputs import distinct_presets
from automtl.features.batch import Batch
from automtl.predictor import tree_inputs
from automtl.system.progress import ignore
from automtl.tables.schema import Task
from automtl.training.evaluation import predict_logits
from common import commit, run


@dataclass(frozen=True)
class Logits:
    """(N, T) of a member."""

    valid: Tensor
    test: Tensor


@dataclass(frozen=True)
class Rows:
    """Validation and test rows."""

    valid: Batch
    test: Batch
    tasks: tuple[Task, ...]

    def aucs(self, logits: Tensor) -> dict[str, float]:
        """AUC of the test rows by task."""
        labels, mask = self.test.labels.numpy(), self.test.mask.numpy() > 0
        return {
            task.name: round(float(roc_auc_score(labels[mask[:, i], i], logits.numpy()[mask[:, i], i])), 5)
            for i, task in enumerate(self.tasks)
        }


def members(given: argparse.Namespace, seed: int, loader: DataLoader) -> tuple[dict[str, Logits], Rows]:
    """Logits by name, the rows."""
    roles = ColumnRoles(drop=tuple(given.drop), split=given.split_column)
    source, settings = open_source(given.table, given.task, roles, None, Settings(), seed)
    encoded = EncodedSource(source, loader)
    tried = [
        Experiment(encoded, replace(settings, presets=(preset,)), seed)
        for preset in distinct_presets(settings, source.schema)
    ]
    for one in tried:
        one.select_inputs()
    chosen = min(tried, key=lambda one: one.history["presets"][0]["score"])
    every = chosen.inputs.all_rows
    rows = Rows(every.valid, encoded.test(every), source.schema.tasks)

    def logits(model: nn.Module, columns: int) -> Logits:
        return Logits(*(predict_logits(model, part.with_numeric(columns)) for part in (rows.valid, rows.test)))

    made = {"network": logits(chosen.network, chosen.inputs.rows.encoder.layout.num_numeric)}
    for one in tried:
        assert one.reference is not None
        name = "reference" if one is chosen else f"reference, {one.inputs.preset}"
        made[name] = logits(one.reference, one.inputs.rows.encoder.layout.num_numeric)
    for tree in boosted(tree_inputs(every.encoder), every.train, every.valid, settings.trees, seed, ignore):
        made[tree.name] = logits(tree.model, tree.columns)
    return made, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--split-column")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    for seed in range(given.seeds):
        with data_loader(Settings().data_loader) as loader:
            made, rows = members(given, seed, loader)
        trees = [name for name in made if "trees" in name]
        references = [name for name in made if name.startswith("reference,")]
        ensembles = {
            "trees": ["network", *trees], "default": ["network", "reference", *trees],
            "all references": ["network", "reference", *references, *trees], "no search": ["reference", *trees],
        }  # fmt: skip
        found = {name: rows.aucs(one.test) for name, one in made.items()}
        for name, parts in ensembles.items():
            known = [made[part].valid for part in parts]
            weights = best_weights(known, rows.valid, rows.tasks)
            mixed = (torch.stack([made[part].test for part in parts]) * weights.unsqueeze(1)).sum(0)
            found[f"ensemble: {name}"] = rows.aucs(mixed)
        print(json.dumps({"table": Path(given.table).name, "seed": seed, "commit": commit(), "auc": found}), flush=True)


if __name__ == "__main__":
    run(main)
