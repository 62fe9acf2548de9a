"""Small layouts and batches that laws run on. B rows, T tasks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from automtl.features.batch import Batch, Features
from automtl.features.layout import AspectLayout, CategoricalLayout, Layout, MultiLayout, NumericLayout, SequenceLayout
from automtl.tables.schema import Task

SIZES = (9, 5, 6)  # ids of the categorical fields a and b and of the multi-valued field m
EVENTS = (AspectLayout("a", 0, "a"), AspectLayout("b", 0, "b"), AspectLayout("outcome", 3), AspectLayout("age", 4))


def small_layout(num_tasks: int = 3) -> Layout:
    """Make a layout: two categorical fields, a list, a sequence, two groups of numbers, and binary tasks t0, t1 ..."""
    return Layout(
        (CategoricalLayout("a", SIZES[0]), CategoricalLayout("b", SIZES[1])),
        (MultiLayout("m", SIZES[2], "mean"),),
        (NumericLayout("n", ("x",)), NumericLayout("r", ("y", "z"))),
        tuple(Task(f"t{index}") for index in range(num_tasks)),
        (SequenceLayout("s", EVENTS, 4),),
    )


def small_batch(rows: int = 40, num_tasks: int = 3, seed: int = 0) -> Batch:
    """Draw rows of `small_layout`; about a fifth of the labels are missing."""
    generator = torch.Generator().manual_seed(seed)
    features = Features(
        torch.stack([torch.randint(0, size, (rows,), generator=generator) for size in SIZES[:2]], dim=1),
        (torch.randint(0, SIZES[2], (rows, 3), generator=generator),),
        torch.randn(rows, 3, generator=generator),
    )
    labels = torch.randint(0, 2, (rows, num_tasks), generator=generator).float()
    mask = (torch.rand(rows, num_tasks, generator=generator) > 0.2).float()
    features = replace(features, multi=(*features.multi, *_events(rows, generator)))
    return Batch(features, labels * mask, mask, torch.ones(rows))


def _events(rows: int, generator: torch.Generator) -> list[Tensor]:
    """Draw a list (B, 4) for each aspect; a fifth of the rows have no events."""
    given = torch.arange(4) < torch.randint(0, 5, (rows, 1), generator=generator)
    sizes = (*SIZES[:2], *(aspect.size for aspect in EVENTS if aspect.size))
    drawn = [torch.randint(0, size, (rows, 4), generator=generator) for size in sizes]
    return [ids * given for ids in (*drawn[:-1], drawn[-1].clamp(min=1))]
