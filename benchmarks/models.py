"""Our models of the peers' sizes, what they cost, and data for them. H width, T tasks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout, NumericLayout
from automtl.models.baselines.base import HIDDEN, Baseline
from automtl.models.baselines.mmoe import MMoE
from automtl.models.settings import NetworkSettings
from automtl.nn.stacked import StackedPerceptron
from automtl.tables.schema import Task
from peers.sizes import Sizes


class OneLayerBottom(Baseline):
    """A Shared-Bottom whose bottom is one layer; the library's own has two."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__(layout, settings, generator)
        self.bottom = StackedPerceptron(1, self.embedding.width, (settings.width,), generator, activate_last=True)

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.bottom(x.unsqueeze(0))  # (1, B, H)
        return out.squeeze(0)


def tasks(sizes: Sizes) -> tuple[Task, ...]:
    """T binary tasks of equal weight."""
    return tuple(Task(f"t{index}") for index in range(sizes.tasks))


def layout(sizes: Sizes) -> Layout:
    """The fields: categorical ones, and all numeric columns as one."""
    categorical = tuple(CategoricalLayout(f"c{index}", sizes.vocabulary) for index in range(sizes.fields))
    numeric = NumericLayout("numeric", tuple(f"n{index}" for index in range(sizes.numeric)))
    return Layout(categorical, (), (numeric,), tasks(sizes))


def model(sizes: Sizes) -> nn.Module:
    """The library's MMoE, or the Shared-Bottom of one layer. Without dropout, as the peers are."""
    *inner, width = sizes.hidden
    assert (sizes.experts, inner) in ((8, [HIDDEN]), (0, [])), "sizes the library's models do not have"
    settings = NetworkSettings(sizes.embedding, width, sizes.tower, dropout=0.0)
    kind = MMoE if sizes.experts else OneLayerBottom
    return kind(layout(sizes), settings, torch.Generator().manual_seed(0))


def multiply_adds(sizes: Sizes) -> int:
    """Of all products of a row's forward pass; another two of each in the backward pass.

    Counted from the sizes, since torch's counter does not see every kernel; for plain layers the two agree.
    """
    inputs, width, towers = (sizes.fields + 1) * sizes.embedding, sizes.hidden[-1], (*sizes.tower, 1)
    experts = max(sizes.experts, 1) * sum(a * b for a, b in pairwise((inputs, *sizes.hidden)))
    gates = sizes.tasks * sizes.experts * (inputs + width)  # the scores, and the experts weighed by them
    numeric = sizes.numeric * sizes.embedding
    return experts + gates + numeric + sizes.tasks * sum(a * b for a, b in pairwise((width, *towers)))


def rows(sizes: Sizes, count: int) -> Batch:
    """The peers' data as rows of the form that our encoder gives them: ids of 32 bits."""
    ids, numeric, labels = (torch.from_numpy(values) for values in sizes.data(count))
    return Batch(Features(ids.int(), (), numeric), labels, torch.ones_like(labels), torch.ones(count))
