"""One step of the published supernet against a plain loop, and against what the machine can do at best.

The step: a validation pass and a training pass, both with the gradients of all weights (early stopping of operations
needs them). The plain loop runs every candidate of every expert as a module of its own, and the experts anew for every
task; it has the same parameters, and the outputs are compared before anything is timed.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from automtl.data.batch import Batch, Features
from automtl.data.layout import CategoricalLayout, Layout
from automtl.data.schema import Task
from automtl.models.block import MixedBlock
from automtl.models.inherit import copy_candidate
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.space import SpaceSettings, published_space
from automtl.training.denormal import ignore_denormals
from automtl.training.losses import MultiTaskLoss
from common import in_turns, matrix_ceiling, memory_ceiling, ratio, report


class PlainSupernet(nn.Module):
    """The same supernet with the same parameters, as loops over tasks, experts, layers and candidates."""

    def __init__(self, wide: Supernet) -> None:
        super().__init__()
        self.wide = wide
        self.cells = nn.ModuleList(
            nn.ModuleList(self._cell(index, cell) for cell in range(len(choice.cells)))
            for index, choice in enumerate(wide.space.choices)
        )

    def _cell(self, index: int, cell: int) -> nn.ModuleList:
        network = self.wide.network
        grid = (network.interaction, network.pooling, *network.layers)[index]
        block, alone = grid.blocks[0], []
        for option in block.options:
            lone = MixedBlock((option,), 1, network.shape, torch.Generator())
            copy_candidate(block, lone, [cell])
            alone.append(lone)
        return nn.ModuleList(alone)

    def forward(self, features: Features) -> Tensor:
        network, one = self.wide.network, torch.ones(1, 1)
        choices = [share.weights for share in self.wide.mixing().choices]
        experts = self.wide.selection.weights()

        def mixed(x: Tensor, index: int, cell: int) -> Tensor:
            total = torch.zeros(())
            for place, candidate in enumerate(self.cells[index][cell]):
                total = total + choices[index][cell, place] * candidate(x, one)
            return total

        refined = mixed(network.embedding(features), 0, 0)
        gathered = []
        for task in range(self.wide.space.num_tasks):
            total = torch.zeros(())
            for expert in range(self.wide.space.num_experts):
                hidden = network.normalize(mixed(refined, 1, expert))
                for depth in range(len(network.layers)):
                    hidden = mixed(hidden, 2 + depth, expert)
                total = total + experts[task, expert] * network.normalize(hidden)
            gathered.append(total[0])
        logits: Tensor = network.towers(torch.stack(gathered))
        return logits


def flops(wide: Supernet, rows: int) -> float:
    """Of all products of both passes: forward, gradients of inputs and of weights."""
    choices = wide.space.choices
    everything = sum(
        option.multiply_adds(wide.network.shape) for choice in choices for cell in choice.cells for option in cell
    )
    towers = wide.cost.fixed
    return 2 * 3 * 2 * (everything + towers) * rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--fields", type=int, default=3)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ignore_denormals()
    generator = torch.Generator().manual_seed(0)
    tasks = tuple(Task(name) for name in ("click", "cart", "buy", "like"))
    layout = Layout(tuple(CategoricalLayout(f"id{i}", 1000) for i in range(given.fields)), (), (), tasks)
    settings = NetworkSettings(embedding_size=given.dim, dropout=0.0)
    wide = Supernet(published_space(SpaceSettings(), 4), layout, settings, generator)
    plain = PlainSupernet(wide)
    features = Features(
        torch.randint(0, 1000, (given.rows, given.fields), generator=generator), (), torch.zeros(given.rows, 0)
    )
    labels = torch.randint(0, 2, (given.rows, 4), generator=generator).float()
    batch = Batch(features, labels, torch.ones_like(labels), torch.ones(given.rows))
    torch.testing.assert_close(wide(features), plain(features), rtol=1e-3, atol=1e-4)
    loss = MultiTaskLoss(tasks)

    def step(model: nn.Module) -> None:
        for _ in range(2):
            model.zero_grad(set_to_none=True)
            loss(model(batch.features), batch).backward()

    times = in_turns({"plain": lambda: step(plain), "ours": lambda: step(wide)}, given.rounds)
    ceiling, bandwidth = matrix_ceiling(), memory_ceiling()
    floor = flops(wide, given.rows) / ceiling
    for name, seconds in times.items():
        print(f"{name}: {min(seconds):.2f} to {max(seconds):.2f} s a step")
    print(f"floor: {floor:.2f} s ({flops(wide, given.rows) / 1e9:.0f} GFLOP at {ceiling / 1e9:.0f} GFLOP/s)")
    report(
        "supernet-step",
        {
            "plain_loop": ratio(times["plain"], times["ours"]),
            "floor": ratio(times["ours"], [floor] * given.rounds),
            "gflops_ceiling": round(ceiling / 1e9),
            "memory_gb_per_second": round(bandwidth / 1e9, 1),
            "gflop_a_step": round(flops(wide, given.rows) / 1e9, 1),
        },
    )


if __name__ == "__main__":
    main()
