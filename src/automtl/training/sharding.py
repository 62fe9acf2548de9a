"""Embedding tables of a training that lie on several workers: taken apart before it, put together after it.

A state of the training has of each worker the rows that it has, of the tables and of their moments. Where the training
goes on by another number of workers, they are put together and taken apart anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from torch import Tensor, nn

from automtl.features.batch import Batch
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.sharded import own_rows, whole_table
from automtl.system.journal import State
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
    for part in kept.parts:
        for name, module in _tables(part.module, sharded):
            part.values[name] = whole_table(part.values[name].cpu(), module.num_ids)
            module.table.data, module.sharded = part.values[name], False


def names_of_own(model: nn.Module, kept: BestWeights, sharded: Sequence[FieldEmbedding]) -> list[str]:
    """List the names, in a state of the training, of what each worker has for its own rows."""
    found = [f"model.{name}" for name, _ in _tables(model, sharded)]
    found += [f"updates.rows.{place}" for place in range(len(sharded))]
    for place, part in enumerate(kept.parts):
        found += [f"kept.{place}.{name}" for name, _ in _tables(part.module, sharded)]
    return found


def of_this_worker(state: State, names: Collection[str]) -> State:
    """Return a state whose tensors are those of this worker: of those with these names its own rows, if any.

    The state may be that of another number of workers, with tables in parts or whole.
    """
    own, parts = workers(), state.own
    if names and len(parts) == own.count:
        return replace(state, tensors={**state.tensors, **parts[own.place]}, own=())
    whole = {name: _joined([one[name] for one in parts]) for name in (parts[0] if parts else ())}
    tensors = {**state.tensors, **whole}
    cut = {name: own_rows(tensors[name]) for name in names if name in tensors}
    return replace(state, tensors=tensors | cut, own=())


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Put the rows of several workers together; row r lies on worker r % W, see `nn.sharded`."""
    found = parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
    for place, one in enumerate(parts):
        found[place :: len(parts)] = one
    return found


def _tables(module: nn.Module, sharded: Sequence[FieldEmbedding]) -> Iterator[tuple[str, FieldEmbedding]]:
    """Yield the embeddings in a module whose tables lie on several workers, by the names of the tables."""
    for path, one in module.named_modules():
        if isinstance(one, FieldEmbedding) and one in sharded:
            yield f"{path}.table" if path else "table", one
