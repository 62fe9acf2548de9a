"""Which histories are worth their cost, decided on validation rows.

A judge (boosted trees where they can be loaded, else a small network) learns with all histories. Then each group,
a kind of statistics of a key, is shuffled over the validation rows (permutation importance, Breiman 2001): a group that
the loss of no task misses goes. Where a judge of what is left is worse by more than chance, everything stays.
The events one by one stay where a small network is better with them, by more than another seed would change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.errors import DivergedError
from automtl.features.batch import Batch, subset
from automtl.features.column_selection import select_histories, select_history_rows, without_sequences
from automtl.features.encoder import Encoder
from automtl.features.histories import Group
from automtl.features.layout import Layout
from automtl.models.registry import new_model
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Callback, Notice, ignore
from automtl.tables.schema import Task
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings

PAYS = 2.0  # standard errors by which the loss of a task must rise without a group, so that it stays
WORSE = 2.0  # standard errors by which it may rise without all that goes
SEQUENCE = 2e-3  # share of the small network's loss that the events must save; another seed changes it by 1e-3
ROWS = 200_000  # of training and of validation rows, at most, that judge
REFERENCE = "shared-bottom"
SMALL = TrainingSettings(embedding_weight_decay=1e-3)  # the first preset
JUDGE = TreeSettings(rounds=400, patience=30, learning_rate=0.1)


@dataclass(frozen=True)
class GroupGain:
    """A group, and by how many standard errors each task's loss on validation rows rises without it."""

    group: Group
    rises: tuple[float, ...]
    kept: bool

    def to_dict(self, tasks: Sequence[str]) -> dict[str, Any]:
        """Return plain values."""
        key, kind = self.group
        rises = {task: round(rise, 2) for task, rise in zip(tasks, self.rises, strict=True)}
        return {"key": list(key), "kind": kind, "rises": rises, "kept": self.kept}


def judge_groups(encoder: Encoder, train: Batch, valid: Batch, callback: Callback = ignore) -> list[GroupGain]:
    """Tell which groups of an encoder's histories pay; all of them where less would be worse."""
    train, valid, tasks = subset(train, ROWS, 0), subset(valid, ROWS, 0), encoder.schema.tasks
    every = _judge(encoder.layout, train, valid, callback)
    found = rank_groups(every, encoder, valid, tasks)
    left_out = [one.group for one in found if not one.kept]
    if not left_out:
        return found
    few, loss = select_histories(encoder, left_out), MultiTaskLoss(tasks)
    rows, checks = (select_history_rows(part, encoder, left_out) for part in (train, valid))
    losses = [
        loss.per_row(predict_logits(model, part), part)
        for model, part in ((every, valid), (_judge(few.layout, rows, checks, callback), checks))
    ]
    worse = max(_in_errors(losses[1] - losses[0], valid.mask)) > WORSE
    return [replace(one, kept=True) for one in found] if worse else found


def sequence_gain(encoder: Encoder, train: Batch, valid: Batch, callback: Callback = ignore) -> float:
    """Return by what share the loss of a small network on validation rows rises without the events one by one."""
    few, tasks, losses = without_sequences(encoder).layout, encoder.schema.tasks, []
    train, valid = subset(train, ROWS, 0), subset(valid, ROWS, 0)
    for layout in (encoder.layout, few):
        rows, checks = (part.for_layout(layout) for part in (train, valid))
        model = new_model(REFERENCE, layout, NetworkSettings(), 0)
        try:
            losses.append(fit(model, rows, checks, tasks, SMALL, 0, callback, "choosing histories: events").score)
        except DivergedError as error:
            callback(Notice(f"{error}; not known to help, the events are left out"))
            return 0.0
    return losses[1] / losses[0] - 1


def _judge(layout: Layout, train: Batch, valid: Batch, callback: Callback) -> nn.Module:
    """Train the model that judges."""
    model: nn.Module
    if TreeModel.available():
        model = TreeModel(layout, NetworkSettings(), torch.Generator(), JUDGE)
    else:
        model = new_model(REFERENCE, layout, NetworkSettings(), 0)
    fit(model, train, valid, layout.tasks, TrainingSettings(), 0, callback, "choosing histories")
    return model


def rank_groups(model: nn.Module, encoder: Encoder, valid: Batch, tasks: Sequence[Task]) -> list[GroupGain]:
    """Shuffle the inputs of each group over validation rows. Histories are the last numbers of a row."""
    assert encoder.histories is not None
    loss, numeric = MultiTaskLoss(tasks), valid.features.numeric
    first = numeric.shape[1] - encoder.histories.width
    before = loss.per_row(predict_logits(model, valid), valid)
    order = torch.randperm(len(valid), generator=torch.Generator().manual_seed(0))
    found = []
    for group, columns in encoder.histories.columns_of_groups().items():
        places = torch.tensor(columns) + first
        shuffled = numeric.index_copy(1, places, numeric[order].index_select(1, places))
        rows = replace(valid, features=replace(valid.features, numeric=shuffled))
        rises = _in_errors(loss.per_row(predict_logits(model, rows), rows) - before, valid.mask)
        found.append(GroupGain(group, rises, max(rises) > PAYS))
    return found


def _in_errors(rises: Tensor, mask: Tensor) -> tuple[float, ...]:
    """Return the mean rise of each task over its rows in standard errors; 0 where nothing rises."""
    found = []
    for own, held in zip(rises.double().T, mask.T > 0, strict=True):
        rows = own[held]
        error = float(rows.std() / max(len(rows), 1) ** 0.5) if len(rows) > 1 else 0.0
        found.append(float(rows.mean()) / error if error > 0 else 0.0)
    return tuple(found)
