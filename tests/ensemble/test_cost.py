"""Tests that the cost of scoring a row is counted for networks and trees alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.ensemble.cost import flops_per_row
from automtl.ensemble.ensemble import Ensemble, Member
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.features.batch import Features
from automtl.models.settings import NetworkSettings
from automtl.system.progress import ignore
from tests.conftest import small_batch, small_layout


class Product(nn.Module):
    """One product of two numbers a row by 5 a task: 2 operations for each of them."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.map = nn.Linear(2, tasks, bias=False)

    def forward(self, features: Features) -> Tensor:
        found: Tensor = self.map(features.numeric[:, :2])
        return found


def test_an_ensemble_costs_what_its_members_cost() -> None:
    layout, rows = small_layout(), small_batch(300)
    trees = TreeModel(layout, NetworkSettings(), torch.Generator(), TreeSettings(rounds=5))
    trees.learn(rows, rows, 0, ignore, "trees")
    tasks = layout.num_tasks
    both = Ensemble([Member("trees", trees, layout), Member("product", Product(tasks), layout)], layout.tasks)
    depth = flops_per_row(trees, rows)
    assert 2 * trees.forest.num_trees <= depth <= (4 + 1) * 3 * trees.forest.num_trees
    assert flops_per_row(Product(tasks), rows) == 2 * 2 * tasks
    assert flops_per_row(both, rows) == depth + 2 * 2 * tasks
