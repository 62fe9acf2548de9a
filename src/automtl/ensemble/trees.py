"""A model of gradient-boosted trees, one booster for each task, by LightGBM (Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from automtl.ensemble.boosting import BinnedRows, Examples, boost
from automtl.ensemble.settings import TreeSettings
from automtl.errors import SettingsError
from automtl.features.batch import Batch, Features, subset
from automtl.features.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Callback
from automtl.tables.schema import Task
from automtl.training.fit import SelfTrained
from automtl.training.targets import Targets

if TYPE_CHECKING:
    from lightgbm import Booster

LIGHTGBM_MISSING = (
    "LightGBM cannot be loaded; run: pip install --force-reinstall lightgbm (on Linux it needs the system's OpenMP "
    "library, too: apt-get install libgomp1)"
)
DEFAULT = TreeSettings()
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
    row's id, for each aspect that has a target. Numeric columns, target encodings included, stay as they are.
    """

    def __init__(self, layout: Layout) -> None:
        kept = [(place, field.size) for place, field in enumerate(layout.categorical) if not field.bins]
        self.kept = [place for place, _ in kept]
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

    def matrix(self, features: Features) -> np.ndarray:
        """Return the inputs of the trees, (B, C)."""
        parts = [features.categorical[:, self.kept].float()]
        for inputs, ids in zip(self.lists, features.multi, strict=True):
            parts += [one.unsqueeze(1).float() for one in inputs.columns(ids, features.categorical)]
        found: np.ndarray = torch.cat([*parts, features.numeric], dim=1).numpy()
        return found


class TreeModel(SelfTrained):
    """Boosted trees of all tasks: features -> logits (B, T), or values for regression; it ignores network settings."""

    def __init__(
        self, layout: Layout, settings: NetworkSettings, generator: torch.Generator, trees: TreeSettings = DEFAULT
    ) -> None:
        super().__init__()
        self.settings = trees
        self.check(layout.tasks)
        self.inputs, self.tasks = TreeInputs(layout), layout.tasks
        self.boosters: list[Booster] = []

    @staticmethod
    def check(tasks: Sequence[Task]) -> None:
        """Check that LightGBM can be loaded. Raises SettingsError."""
        if not TreeModel.available():
            raise SettingsError(f"{LIGHTGBM_MISSING}; or choose a model without trees")

    @staticmethod
    def available() -> bool:
        """Tell whether LightGBM can be loaded."""
        try:
            import lightgbm  # noqa: F401
        except (ImportError, OSError):  # OSError: without the system's OpenMP library
            return False
        return True

    def forward(self, features: Features) -> Tensor:
        matrix, threads = self.inputs.matrix(features), torch.get_num_threads()
        scores = [booster.predict(matrix, raw_score=True, num_threads=threads) for booster in self.boosters]
        return torch.from_numpy(np.stack(scores, axis=1)).float()

    def learn(self, train: Batch, valid: Batch, seed: int, callback: Callback, stage: str) -> list[float]:
        train, valid = (subset(rows, self.settings.max_rows, seed) for rows in (train, valid))
        inputs, checks = self.inputs.matrix(train.features), self.inputs.matrix(valid.features)
        train, valid = (replace(rows, labels=Targets(self.tasks)(rows.labels)) for rows in (train, valid))
        boosted, binned = [], BinnedRows(self.inputs.id_columns)
        for index, task in enumerate(self.tasks):
            fitted, checked = Examples.of(inputs, train, index), Examples.of(checks, valid, index)
            name = f"{stage}: {task.name}"
            boosted.append(boost(task, fitted, checked, binned, self.settings, seed, callback, name))
        self.restore([text for text, _ in boosted])
        return [train_loss for _, train_loss in boosted]

    @property
    def num_parameters(self) -> int:
        """Number of thresholds and leaves of all trees."""
        trees = [tree for booster in self.boosters for tree in booster.dump_model()["tree_info"]]
        return sum(2 * int(tree["num_leaves"]) - 1 for tree in trees)

    def texts(self) -> list[str]:
        """Return the boosters in LightGBM's text format, one for each task."""
        return [booster.model_to_string() for booster in self.boosters]

    def restore(self, texts: Sequence[str]) -> None:
        """Load boosters from what `texts` returned."""
        from lightgbm import Booster

        self.boosters = [Booster(model_str=text) for text in texts]
