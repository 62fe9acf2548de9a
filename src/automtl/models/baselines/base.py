"""The base class and the experts of published models. T tasks, E experts, H width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.nn.dropout import Dropout
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.funnel import Funnel
from automtl.nn.normalization import NORMALIZATIONS
from automtl.nn.stacked import StackedLinear, StackedPerceptron, layer
from automtl.nn.tower import Towers
from automtl.tables.schema import Task, stages

HIDDEN = 128  # of an expert, before its output of the settings' width


class Finish(nn.Module):
    """Normalizes the outputs of experts (E, B, H) as the settings say, and drops some of their units in training.

    Every published model has it where ours has: on the last experts, before gates and towers. `normalize` alone is
    for the levels before.
    """

    def __init__(self, width: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.normalize = NORMALIZATIONS[settings.normalization](width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.normalize(x))
        return out


class Baseline(nn.Module, ABC):
    """Maps features to logits (B, T): the fields are embedded and flattened, `gather` makes each task's input.

    `gather` lets the outputs of its experts go through `finish`.
    """

    embedding: FieldEmbedding

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        self.finish = Finish(settings.width, settings)
        self.towers = Towers(layout.num_tasks, settings.width, settings.towers, generator, settings.dropout)
        self.funnel = Funnel(stages(layout.tasks))

    @staticmethod
    def check(tasks: Sequence[Task]) -> None:
        """Raise SettingsError that names a task which the model cannot serve; most models serve all."""

    @abstractmethod
    def gather(self, x: Tensor) -> Tensor:
        """Turn flattened fields (B, F D) into the towers' inputs (T, B, H), or (B, H) if all tasks have the same."""

    def forward(self, features: Features) -> Tensor:
        found = self.gather(self.embedding(features, for_products=True).flatten(1))
        logits: Tensor = self.funnel(self.towers(found))
        return logits


def make_experts(count: int, in_dim: int, width: int, generator: torch.Generator) -> StackedPerceptron:
    """Make E two-layer perceptrons on one input: (B, I) -> (E, B, H), or on one input each: (E, B, I)."""
    return StackedPerceptron(count, in_dim, (HIDDEN, width), generator, activate_last=True)


class GroupedExperts(nn.Module):
    """Runs G groups of `each` experts on their group's input: (G, B, I), or (B, I) for all -> (G each, B, H).

    `sizes`: units of one or more layers, with ReLU in between and, if `activate_last`, at the end. The first layers of
    a group's experts are one product, so that no input is repeated.
    """

    def __init__(
        self, groups: int, each: int, in_dim: int, sizes: Sequence[int], generator: torch.Generator, *,
        activate_last: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.each, self.activate_first = each, activate_last or len(sizes) > 1
        self.first = StackedLinear(groups, in_dim, each * sizes[0], generator)
        self.rest = StackedPerceptron(groups * each, sizes[0], sizes[1:], generator, activate_last=activate_last)

    def forward(self, x: Tensor) -> Tensor:
        hidden = layer(x, self.first.weight, self.first.bias, activate=self.activate_first)  # (G, B, each H)
        apart = hidden.unflatten(2, (self.each, -1)).transpose(1, 2).flatten(0, 1)  # (G each, B, H)
        out: Tensor = self.rest(apart)
        return out


def group_experts(group: int, each: int) -> range:
    """Return the places of a group's experts among those of `GroupedExperts`."""
    return range(group * each, (group + 1) * each)
