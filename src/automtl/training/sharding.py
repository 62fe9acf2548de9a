"""Embedding tables of a training that lie on several workers: taken apart before it, put together after it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from automtl.features.batch import Batch
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.sharded import own_rows, whole_table
from automtl.system.workers import workers
from automtl.training.best_weights import BestWeights
from automtl.training.settings import TrainingSettings
from automtl.training.updates import by_rows


def shard(model: nn.Module, train: Batch, settings: TrainingSettings) -> list[FieldEmbedding]:
    """Leave this worker its rows of the tables that are moved by rows, if the settings say so; return what has them."""
    if not (settings.shard_embeddings and workers().several):
        return []
    found = by_rows(model, train, settings)
    for module in found:
        module.table.data, module.sharded = own_rows(module.table.data), True
    return found


def unshard(sharded: Sequence[FieldEmbedding], kept: BestWeights) -> None:
    """Give all workers the whole tables again, with the rows of the best weights."""
    for part in kept.parts if sharded else ():
        for path, module in part.module.named_modules():
            if isinstance(module, FieldEmbedding) and module in sharded:
                name = f"{path}.table" if path else "table"
                part.values[name] = whole_table(part.values[name].cpu(), module.num_ids)
                module.table.data, module.sharded = part.values[name], False
