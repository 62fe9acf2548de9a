"""Whether the parts of a saved encoder fit each other and its schema. V ids of a key, T tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np

from automtl.errors import FileError
from automtl.features.piecewise import Piecewise
from automtl.features.scaler import Scaler
from automtl.features.target_encoding import TargetEncoding
from automtl.features.vocabulary import Vocabulary
from automtl.tables.derive import TIME_PARTS, simple_fields
from automtl.tables.schema import SINGLE, FieldKind, Schema, TaskKind

MOST_IDS = 1 << 31  # of a field: ids are int32
LARGEST = 1.8e308  # a number beyond is not finite
Fits = Iterator[tuple[str, bool]]  # what is checked, and whether it fits


@dataclass(frozen=True)
class SavedParts:
    """The parts of an encoder, which has the same names for them, as they were read from a folder."""

    schema: Schema
    vocabularies: Mapping[str, Vocabulary]
    scalers: Mapping[str, Scaler | Piecewise]
    target_encodings: Mapping[tuple[str, ...], TargetEncoding]
    newest: Any


def check_encoder(found: SavedParts) -> None:
    """Raise FileError that names a part of a saved encoder which does not fit the others, or is no such thing."""
    for what, fits in chain(_vocabularies(found), _scalers(found), _newest(found), _target_encodings(found)):
        if not fits:
            raise FileError(f"the {what} of the model's encoder does not fit; restore the model's folder, or fit again")


def is_number(value: Any) -> bool:
    """Tell whether a plain value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _vocabularies(found: SavedParts) -> Fits:
    kinds = (FieldKind.CATEGORICAL, FieldKind.MULTI, FieldKind.SEQUENCE)
    needed = {one.target or one.name for one in simple_fields(found.schema) if one.kind in kinds}
    yield "list of vocabularies", needed <= found.vocabularies.keys()
    for name, one in found.vocabularies.items():
        yield f"vocabulary of '{name}'", _is_vocabulary(one)


def _is_vocabulary(one: Vocabulary) -> bool:
    hashed = one.hashed
    return isinstance(hashed, int) and not isinstance(hashed, bool) and hashed >= 0 and _size(one) < MOST_IDS


def _size(one: Vocabulary) -> int:
    return 2 + one.values.len() + one.hashed


def _scalers(found: SavedParts) -> Fits:
    needed = {one.name for one in simple_fields(found.schema) if one.kind is FieldKind.NUMERIC}
    yield "list of scalers", found.scalers.keys() == needed
    for name, one in found.scalers.items():
        yield f"scaler of '{name}'", _is_piecewise(one) if isinstance(one, Piecewise) else _is_scaler(one)


def _is_piecewise(one: Piecewise) -> bool:
    return _rise(one.edges) and len(one.edges) > 1 and _are_flags(one.indicator) and one.binned is False


def _is_scaler(one: Scaler) -> bool:
    flags = _are_flags(one.log, one.indicator, one.value, one.binned)
    deviation = isinstance(one.std, int | float) and not isinstance(one.std, bool) and one.std >= 0  # may be infinite
    return flags and _rise(one.edges) and is_number(one.mean) and deviation and (one.value or one.binned)


def _are_flags(*values: Any) -> bool:
    return all(isinstance(one, bool) for one in values)


def _rise(edges: tuple[Any, ...]) -> bool:
    return all(map(is_number, edges)) and all(one < other for one, other in pairwise(edges))


def _newest(found: SavedParts) -> Fits:
    times = [one for one in found.schema.fields if one.kind is FieldKind.TIME]
    aged = {one.name for one in times if "age" in (one.parts or TIME_PARTS)}
    newest = found.newest
    yield "newest time", isinstance(newest, dict) and {one.name for one in times} <= newest.keys()
    yield "newest time", all(is_number(value) for name, value in newest.items() if name in aged)


def _target_encodings(found: SavedParts) -> Fits:
    known = {one.name for one in found.schema.fields if one.kind in SINGLE}
    for key, one in found.target_encodings.items():
        what = f"target encoding of '{', '.join(map(str, key))}'"
        yield what, bool(key) and known.issuperset(key) and _is_vocabulary(one.vocabulary)
        yield what, _fits(one, found.schema)


def _fits(one: TargetEncoding, schema: Schema) -> bool:
    ids, tasks = len(one.vocabulary), len(schema.tasks)
    shapes = {
        "sums": (ids, tasks), "counts": (ids, tasks), "rows": (ids,), "prior": (tasks,), "mean": (tasks + 1,),
        "std": (tasks + 1,),
    }  # fmt: skip
    arrays = {name: getattr(one, name) for name in shapes}
    if any(array.shape != shapes[name] or array.dtype != np.float64 for name, array in arrays.items()):
        return False
    binary = np.array([task.kind is TaskKind.BINARY for task in schema.tasks])
    if one.binary.dtype != np.bool_ or not np.array_equal(one.binary, binary):
        return False
    if not is_number(one.smoothing) or one.smoothing <= 0 or any((arrays[n] < 0).any() for n in ("counts", "rows")):
        return False
    with np.errstate(all="ignore"):
        return bool((one.std > 0).all() and np.isfinite(one.table).all())
