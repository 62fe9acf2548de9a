"""What each member of a blend is worth: test AUC of the searched network with others beside it or without.

The members are trained once a seed on the same encoded rows: the searched network, reference models under each preset
of the inputs, boosted trees with target encoding and without. Shares are chosen on validation rows as in a fit;
`old` chooses the share of the trees that have the network's inputs from 21, as before. Prints a line a seed and log.

    python benchmarks/blend.py TABLE --task NAME ... [--drop NAME ...] [--split-column NAME] [--seeds 1]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from automtl.config import Settings
from automtl.dataset.store import DataLoader, data_loader
from automtl.ensemble.ensemble import best_shares, boosted
from automtl.experiment import ColumnRoles, Prepared, open_source
from automtl.experiment.fit import search_architecture
from automtl.experiment.inputs import distinct_presets, prepare, train_reference
from automtl.features.batch import Batch
from automtl.predictor import ModelSpec, tree_inputs
from automtl.system.progress import ignore
from automtl.tables.schema import Task
from automtl.training.fit import fit, predict_logits
from automtl.training.losses import MultiTaskLoss
from common import commit, run

OLD_SHARES = torch.linspace(0, 1, 21)


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
        """Of the test rows, by task."""
        labels, mask = self.test.labels.numpy(), self.test.mask.numpy() > 0
        return {
            task.name: round(float(roc_auc_score(labels[mask[:, i], i], logits.numpy()[mask[:, i], i])), 5)
            for i, task in enumerate(self.tasks)
        }


def members(given: argparse.Namespace, seed: int, loader: DataLoader) -> tuple[dict[str, Logits], str, Rows]:
    """Logits by name, the name of the trees with the network's inputs, the rows."""
    roles = ColumnRoles(drop=tuple(given.drop), split=given.split_column)
    source, settings = open_source(given.table, given.task, roles, None, Settings(), seed)
    references: list[tuple[float, Prepared]] = []
    prepared = None
    for preset in distinct_presets(settings, source.schema):
        prepared = prepare(source, settings, preset, loader, prepared)
        references.append(train_reference(prepared, settings.reference, seed))
    chosen = min(references, key=lambda found: found[0])[1]
    whole, tasks = chosen.whole, source.schema.tasks
    test = source.test(whole.encoder, loader, like=whole.train)

    def logits(model: nn.Module, columns: int) -> Logits:
        return Logits(*(predict_logits(model, rows.narrow(columns)) for rows in (whole.valid, test)))

    columns = chosen.encoder.layout.num_numeric
    found = search_architecture(chosen, settings, seed, ignore)
    assert found is not None
    network = ModelSpec("automtl", chosen.network, found.architecture).build(chosen.encoder, seed)
    fit(network, chosen.train, chosen.valid, tasks, chosen.training, seed)
    made = {"network": logits(network, columns)}
    for _, one in references:
        assert one.reference is not None
        name = "reference" if one is chosen else f"reference, {one.preset}"
        made[name] = logits(one.reference, one.encoder.layout.num_numeric)
    for tree in boosted(tree_inputs(whole.encoder), whole.train, whole.valid, chosen.training, seed, ignore):
        made[tree.name] = logits(tree.model, tree.columns)
        if tree.columns == columns:
            own = tree.name
    return made, own, Rows(whole.valid, test, tasks)


def old_shares(pair: list[Tensor], rows: Rows) -> Tensor:
    loss = MultiTaskLoss(rows.tasks)
    losses = torch.stack([loss.over(torch.lerp(*pair, float(share)), rows.valid) for share in OLD_SHARES])
    trees = OLD_SHARES[losses.argmin(dim=0)]
    return torch.stack([1 - trees, trees])


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
            made, own, rows = members(given, seed, loader)
        trees = [name for name in made if "trees" in name]
        references = [name for name in made if name.startswith("reference,")]
        blends = {
            "old": ["network", own], "trees": ["network", *trees], "default": ["network", "reference", *trees],
            "all references": ["network", "reference", *references, *trees], "no search": ["reference", *trees],
        }  # fmt: skip
        found = {name: rows.aucs(one.test) for name, one in made.items()}
        for name, parts in blends.items():
            known = [made[part].valid for part in parts]
            share = old_shares(known, rows) if name == "old" else best_shares(known, rows.valid, rows.tasks)
            mixed = (torch.stack([made[part].test for part in parts]) * share.unsqueeze(1)).sum(0)
            found[f"blend: {name}"] = rows.aucs(mixed)
        print(json.dumps({"table": Path(given.table).name, "seed": seed, "commit": commit(), "auc": found}), flush=True)


if __name__ == "__main__":
    run(main)
