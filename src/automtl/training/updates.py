"""The steps of a training: gradients, clipping, Adam, the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch
from automtl.nn.embedding import FieldEmbedding
from automtl.system.denormal import EVERY, remove_tiny
from automtl.system.journal import below, load_optimizer, optimizer_tensors, under
from automtl.system.workers import sum_gradients, summed
from automtl.training.averaging import Averaging
from automtl.training.rowwise import RowWiseAdam, pays_by_rows
from automtl.training.settings import TrainingSettings


def embeddings(model: nn.Module) -> list[FieldEmbedding]:
    """List the modules that hold embedding tables."""
    return [module for module in model.modules() if isinstance(module, FieldEmbedding)]


def parameter_groups(
    model: nn.Module, settings: TrainingSettings, apart: Sequence[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Group embedding tables and all other parameters, with their weight decay; those `apart` are in no group."""
    tables, left_out = ({id(one) for one in some} for some in ([each.table for each in embeddings(model)], apart))
    dense = [one for one in model.parameters() if id(one) not in left_out]
    return [
        {"params": [one for one in dense if id(one) in tables], "weight_decay": settings.embedding_weight_decay},
        {"params": [one for one in dense if id(one) not in tables], "weight_decay": settings.weight_decay},
    ]


def by_rows(model: nn.Module, train: Batch, settings: TrainingSettings) -> list[FieldEmbedding]:
    """Choose the embeddings whose tables are moved by the rows that a step meets."""
    if settings.embedding_updates != "auto":
        return embeddings(model) if settings.embedding_updates == "row-wise" else []
    features = train.features
    ids = min(settings.batch_size, len(train)) * sum(
        part[0].numel() for part in (features.categorical, *features.multi)
    )
    return [module for module in embeddings(model) if pays_by_rows(module.num_ids, ids)]


@torch.no_grad()
def clip(holders: Sequence[Any], limit: float, elsewhere: Sequence[Any] = ()) -> Tensor:
    """Scale what the holders' `grad` is by one number, in place, so that the norm of all together is at most `limit`.

    elsewhere: further holders, of which each worker has others. Returns the norm before. torch's `clip_grad_norm_` to
    the bit, which scales by 1 where there is nothing to cut: a pass over all gradients, 1.2 % of a small model's step.
    """
    norm = nn.utils.get_total_norm([one.grad for one in holders if one.grad is not None], foreach=True)
    if elsewhere:
        own = nn.utils.get_total_norm([one.grad for one in elsewhere], foreach=True)
        norm, holders = (norm.square() + summed(own.square()).to(norm.device)).sqrt(), [*holders, *elsewhere]
    at_once = norm.device.type == "cpu"  # a processor knows at once whether there is anything to cut
    if not (at_once and norm.item() + 1e-6 <= limit):
        nn.utils.clip_grads_with_norm_(holders, limit, norm, foreach=True)
    return norm


class Updates:
    """All parameters of a model, moved by Adam; some embedding tables by rows. `updating` makes one for a training."""

    def __init__(self, model: nn.Module, train: Batch, settings: TrainingSettings) -> None:
        self.apart = by_rows(model, train, settings)
        for module in self.apart:
            module.row_wise = True
        tables = [module.table for module in self.apart]
        groups = parameter_groups(model, settings, tables)
        self.clip = settings.gradient_clip
        self.dense = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        sharded = [module.table for module in self.apart if module.sharded]
        self.rows = RowWiseAdam(tables, settings.learning_rate, settings.embedding_weight_decay, sharded)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.averaging = Averaging(model, settings.averaging, tables)
        self.steps = 0
        self.norm = torch.zeros(())  # of the last step's gradient

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss`, which is cut to the norm of the settings."""
        self.clear()
        loss.backward()
        self.apply()

    def clear(self) -> None:
        """Forget all gradients."""
        for parameter in (*self.parameters, *self.rows.tables):  # zero_grad takes 1 % of a small model's step
            parameter.grad = None

    def apply(self) -> None:
        """Take one step down the gradients that the parameters have."""
        sum_gradients(self.parameters)
        gradients = self.rows.gradients()
        elsewhere = [one for one in gradients if self.rows.is_sharded(one.table)]
        same = [one for one in gradients if not self.rows.is_sharded(one.table)]
        self.norm = clip([*self.parameters, *same], self.clip, elsewhere)
        self.dense.step()
        self.rows.step(gradients)
        self.averaging.after_step()
        self.steps += 1
        if self.steps % EVERY == 0:
            remove_tiny(self.dense)

    def to_dict(self) -> dict[str, int]:
        """Return the counters."""
        return {"steps": self.steps, "rows": self.rows.steps, "averaging": self.averaging.steps}

    def tensors(self) -> dict[str, Tensor]:
        """Return the moments of both optimizers, and the averages, by name."""
        found = under("dense", optimizer_tensors(self.dense))
        found |= {f"rows.{place}": one for place, one in enumerate(self.rows.state)}
        return found | {f"average.{place}": one for place, one in enumerate(self.averaging.averages)}

    def load(self, counters: Mapping[str, int], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `to_dict` and `tensors` gave."""
        self.steps, self.rows.steps = counters["steps"], counters["rows"]
        load_optimizer(self.dense, below("dense", tensors))
        for place, one in enumerate(self.rows.state):
            one.copy_(tensors[f"rows.{place}"])
        self.averaging.load(counters["averaging"], below("average", tensors))


@contextmanager
def updating(model: nn.Module, train: Batch, settings: TrainingSettings) -> Iterator[Updates]:
    """Give the updates of a model, whose embeddings have dense gradients again afterwards."""
    updates = Updates(model, train, settings)
    try:
        yield updates
    finally:
        for module in updates.apart:
            module.row_wise = False
