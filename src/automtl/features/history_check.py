"""Whether the parts of saved histories fit each other. W inputs of a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from automtl.errors import FileError
from automtl.features.histories import Histories
from automtl.features.vocabulary import Vocabulary
from automtl.histories.rows import Rows
from automtl.tables.history import History
from automtl.tables.schema import SINGLE


def check_histories(found: Histories, vocabularies: Mapping[str, Vocabulary]) -> None:
    """Raise FileError that names a part of saved histories which does not fit the others."""
    for name, fits in chain(_plan(found), _spreads(found), _items(found, vocabularies)):
        if not fits:
            raise FileError(f"the {name} of the model's histories do not fit; restore the model's folder, or fit again")


def _plan(found: Histories) -> Iterator[tuple[str, bool]]:
    schema, plan = found.schema, found.plan
    yield "declarations", isinstance(schema.history, History)
    fields = {one.name for one in schema.fields if one.kind in SINGLE}
    yield "keys", all(fields.issuperset(one.key) for one in plan.keys)
    yield "outcomes", [one.name for one in plan.outcomes] == [*schema.task_names, *schema.outcomes]
    if plan.sequence is not None:
        sequence, place = found.history.sequence or None, plan.sequence[0]
        key = plan.keys[place].key if place < len(plan.keys) else None
        yield "sequences", sequence is not None and key == (sequence.key,)


def _spreads(found: Histories) -> Iterator[tuple[str, bool]]:
    for place, spread in enumerate(found.spreads):
        shape = (len(found.plan.names(place)),)
        yield "means", spread.mean.shape == shape and bool(np.isfinite(spread.mean).all())
        yield "deviations", spread.std.shape == shape and bool((np.isfinite(spread.std) & (spread.std > 0)).all())


def _items(found: Histories, vocabularies: Mapping[str, Vocabulary]) -> Iterator[tuple[str, bool]]:
    names = () if found.plan.sequence is None else found.items
    yield "items", all(name in vocabularies for name in names)
    sizes = [len(vocabularies[name]) for name in names]
    for rows in (found.state.pending, found.state.recent):
        yield "items of events", len(rows) == 0 or _are_ids(rows, sizes)


def _are_ids(rows: Rows, sizes: Sequence[int]) -> bool:
    items = () if rows.items is None else rows.items
    within = (((ids >= 0) & (ids < size)).all() for ids, size in zip(items, sizes, strict=False))
    return len(items) == len(sizes) and all(within)
