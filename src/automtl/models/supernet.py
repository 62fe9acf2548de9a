"""A network of a wide space and its architecture logits (paper, 3.4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.block import CandidateWeights
from automtl.models.cost import Cost
from automtl.models.network import Network, RelaxedArchitecture
from automtl.models.settings import NetworkSettings
from automtl.nn.gate import closed_experts
from automtl.nn.stacked import chosen
from automtl.operations import Block
from automtl.space.architecture import Architecture, Selection
from automtl.space.space import Places, SearchSpace

NOISE = 1e-3  # of new logits, so that equal candidates can differ


class ArchitectureLogits(nn.Module):
    """The logits of candidates: `alpha` has a tensor (cells, K) for each choice (one cell if homogeneous), by name."""

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        super().__init__()
        self.alpha = nn.ParameterDict()
        for name, choice in space.choices.items():
            rows = 1 if space.homogeneous else len(choice.cells)
            noise = torch.empty(rows, len(choice.options)).normal_(0, NOISE, generator=generator)
            self.alpha[name] = nn.Parameter(noise)

    def weights(self, name: str, active: tuple[int, ...] | None = None) -> Tensor:
        """Return the softmax (cells, len(active)) over the candidates `active` of a choice (None: all)."""
        alpha = self.alpha[name]
        return torch.softmax(alpha if active is None else chosen(alpha, active, 1), dim=1)


class SelectionLogits(nn.Module):
    """The logits of experts: `beta` (T, E); `closed` marks the experts that a task may not use."""

    closed: Tensor

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        super().__init__()
        shape = (space.num_tasks, space.num_experts)
        self.beta = nn.Parameter(torch.empty(*shape).normal_(0, NOISE, generator=generator))
        self.register_buffer("closed", closed_experts(space.num_experts, space.selection), persistent=False)

    def weights(self) -> Tensor:
        """Return the softmax (T, E) over each task's experts."""
        return self.beta.masked_fill(self.closed, float("-inf")).softmax(dim=1)


class Supernet(nn.Module):
    """A network of one member with logits of its candidates (`logits`) and of its experts (`selection`).

    `skips`: the current weight of a skip connection beside each block of a kind, in searches that add them.
    """

    def __init__(
        self, space: SearchSpace, layout: Layout, settings: NetworkSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.space = space
        one_member = replace(settings, members=1)
        self.network = Network(space, layout, one_member, gated=space.gated, generator=generator)
        self.logits = ArchitectureLogits(space, generator)
        self.selection = SelectionLogits(space, generator)
        self.cost = Cost(space, self.network)
        self.skips: Mapping[Block, float] = {}

    def relax(self, active: Mapping[str, tuple[int, ...]] | None = None) -> RelaxedArchitecture:
        """Turn logits into weights by softmax, over all candidates or over the `active` ones of each choice."""
        choices = {}
        for name, choice in self.space.choices.items():
            some = None if active is None else active[name]
            choices[name] = CandidateWeights(self.logits.weights(name, some).expand(len(choice.cells), -1), some)
        return RelaxedArchitecture(choices, None if self.space.gated else self.selection.weights(), self.skips)

    def forward(self, features: Features, active: Mapping[str, tuple[int, ...]] | None = None) -> Tensor:
        logits: Tensor = self.network(features, self.relax(active))
        return logits

    @torch.no_grad()
    def prune(self, kept: Places) -> None:
        """Keep only these options of each choice.

        The weights that are kept are the same parameters as before; logits are new ones with the old values.
        """
        self.space = self.space.prune(kept)
        for name, block in self.network.blocks.items():
            block.prune(kept[name])
            self.logits.alpha[name] = nn.Parameter(self.logits.alpha[name][:, list(kept[name])].clone())
        self.cost.prune(kept)
        self.to(self.selection.beta.device)

    @torch.no_grad()
    def derive(self) -> Architecture:
        """Choose the strongest candidate of each cell and the K strongest experts of each task; drop idle experts."""
        choices = {}
        for name, of in self.relax().choices.items():
            best = of.weights.argmax(dim=1).tolist()
            choices[name] = tuple(cell[place] for cell, place in zip(self.space[name].cells, best, strict=True))
        return Architecture(choices, self.selected()).without_idle_experts()

    @torch.no_grad()
    def selected(self) -> Selection:
        """Choose the K strongest experts of each task."""
        if self.space.gated:
            return self.space.selection
        keep = min(self.space.keep, min(len(allowed) for allowed in self.space.selection))
        strongest = self.selection.weights().topk(keep, dim=1).indices.tolist()
        return tuple(tuple(sorted(chosen)) for chosen in strongest)

    def copy_weights(self, network: Network) -> None:
        """Give a network derived from this supernet its parameters; gates are new and stay as they are."""
        network.copy_from(self.network, sorted({expert for chosen in self.selected() for expert in chosen}))


class PartialSupernet(nn.Module):
    """A supernet that runs only the `active` candidates of each choice."""

    def __init__(self, supernet: Supernet, active: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.supernet, self.active = supernet, active

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.supernet(features, self.active)
        return logits.float()
