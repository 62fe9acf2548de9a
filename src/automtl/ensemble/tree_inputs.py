"""The inputs of boosted trees, made of encoded rows. B rows, C columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from automtl.features.batch import Features
from automtl.features.layout import Layout

CATEGORIES = 64  # fields of at most this many ids are split by sets of ids, larger ones by the frequency of an id
VALUES = 32  # number of values of a multi-valued field that are inputs, the most frequent ones


@dataclass(frozen=True)
class ListInputs:
    """Inputs that a list of ids becomes: its length, how often it holds an id of the row, whether it holds some values.

    `same`: place of the categorical field that has the row's id; None where there is none.
    """

    length: bool
    same: int | None
    values: Sequence[int]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.length + (self.same is not None) + len(self.values)

    def columns(self, ids: Tensor, categorical: Tensor) -> Iterator[Tensor]:
        """Yield columns (B,) from lists (B, L), padded with 0, and the ids of all fields (B, C)."""
        if self.length:
            yield (ids > 0).sum(dim=1)
        if self.same is not None:
            yield ((ids == categorical[:, self.same].unsqueeze(1)) & (ids > 0)).sum(dim=1)
        yield from ((ids == value).any(dim=1) for value in self.values)


class TreeInputs:
    """Makes a matrix of float32 inputs, (B, C), from encoded rows.

    Categorical fields become their ids, which are ordered by frequency in training rows. Bins of numeric columns are
    left out, since trees bin the numbers. Multi-valued fields become their number of values, and whether each of the
    most frequent values is among them. Sequences become their number of events, and the number of those that share this
    row's id, for each aspect that has a target. Numeric columns, target encodings included, stay as they are. `width`:
    C, the number of columns.
    """

    def __init__(self, layout: Layout) -> None:
        kept = [(place, field.size) for place, field in enumerate(layout.categorical) if not field.bins]
        self.kept, self.sizes = [place for place, _ in kept], [size for _, size in kept]
        self.id_columns = [column for column, (_, size) in enumerate(kept) if size <= CATEGORIES]
        places = {field.name: place for place, field in enumerate(layout.categorical)}
        self.lists = [  # of values from 2 on: 0 is missing, 1 unknown
            ListInputs(
                True, None if field.target is None else places[field.target], range(2, min(field.size, VALUES + 2))
            )
            for field in layout.multi
        ]
        for aspect, last in [(one, one is s.aspects[-1]) for s in layout.sequences for one in s.aspects]:
            self.lists.append(ListInputs(last, None if aspect.target is None else places[aspect.target], range(0)))
        self.width = len(self.kept) + sum(inputs.width for inputs in self.lists) + layout.num_numeric

    def matrix(self, features: Features) -> np.ndarray:
        """Return the inputs of the trees, (B, C)."""
        found: np.ndarray = self.tensor(features).numpy()
        return found

    def tensor(self, features: Features) -> Tensor:
        """Return the inputs of the trees, (B, C), as a tensor."""
        return torch.cat([self.ids(features).float(), *self._counts(features), features.numeric], dim=1)

    def ids(self, features: Features) -> Tensor:
        """Return the ids of the categorical fields, (B, number of fields)."""
        return features.categorical[:, self.kept]

    def numbers(self, features: Features) -> np.ndarray:
        """Return all inputs but the ids of categorical fields, (B, N)."""
        return self._joined([*self._counts(features), features.numeric])

    def _counts(self, features: Features) -> Iterator[Tensor]:
        """Yield the columns (B, 1) that lists of ids become."""
        for inputs, ids in zip(self.lists, features.multi, strict=True):
            yield from (one.unsqueeze(1).float() for one in inputs.columns(ids, features.categorical))

    def _joined(self, parts: Sequence[Tensor]) -> np.ndarray:
        found: np.ndarray = torch.cat(list(parts), dim=1).numpy()
        return found
