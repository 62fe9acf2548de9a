"""The base class of models of boosted trees, whichever library boosts them. B rows, T tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from automtl.ensemble.examples import UNCHECKED_ROUNDS, Examples
from automtl.ensemble.forest import Forest, from_bytes, to_bytes
from automtl.ensemble.forest_scorer import ForestScorer
from automtl.ensemble.lookup_tables import NO_TABLES, LookupTables
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.tree_inputs import TreeInputs
from automtl.errors import FileError, SettingsError
from automtl.features.batch import Batch, Features, subset
from automtl.features.layout import Layout
from automtl.features.targets import Targets
from automtl.models.settings import NetworkSettings
from automtl.system.deadline import current_deadline, ending
from automtl.system.progress import Callback
from automtl.tables.schema import Task
from automtl.training.fit import SelfTrained

DEFAULT = TreeSettings()
CHECKED_ROWS = 256  # of the training rows, whose scores are compared with the library's own
# Boosts the trees of one task on training and validation rows, the most rounds that it takes, and a stage of progress;
# returns the library's booster of those up to the best round, and the training loss there.
Boost = Callable[[Task, Examples[Any], Examples[Any], int, str], tuple[Any, float]]


class BoostedTrees(SelfTrained):
    """Boosted trees of all tasks: features -> logits (B, T), or values for regression; it ignores network settings.

    A library boosts them; they are kept, saved and scored as a `Forest`, without it. `missing`: the remedy where the
    library cannot be loaded.
    """

    missing: ClassVar[str]
    scorer: ForestScorer | None = None
    tables: LookupTables = NO_TABLES
    rounds: tuple[int, ...] | None = None  # of each task, where validation rows decide nothing

    def __init__(
        self, layout: Layout, settings: NetworkSettings, generator: torch.Generator, trees: TreeSettings = DEFAULT
    ) -> None:
        super().__init__()
        self.settings = trees
        self.inputs, self.tasks = TreeInputs(layout), layout.tasks

    @classmethod
    def check(cls, tasks: Sequence[Task]) -> None:
        """Check that the library, without which no trees are boosted, can be loaded. Raises SettingsError."""
        if not cls.available():
            raise SettingsError(f"{cls.missing}; or choose a model without trees")

    @staticmethod
    @abstractmethod
    def available() -> bool:
        """Tell whether the library can be loaded."""

    @abstractmethod
    def rows(self, features: Features) -> Any:
        """Return rows as the library reads them, of which a mask can select some."""

    @abstractmethod
    def booster(self, seed: int, callback: Callback) -> Boost:
        """Make what boosts the trees of one task after another."""

    def learn(self, train: Batch, valid: Batch, seed: int, callback: Callback, stage: str) -> list[float]:
        self.check(self.tasks)
        train, valid = (subset(rows, self.settings.max_rows, seed) for rows in (train, valid))
        inputs, checks = self.rows(train.features), self.rows(valid.features)
        train, valid = (replace(rows, labels=Targets(self.tasks)(rows.labels)) for rows in (train, valid))
        boosted, boost = [], self.booster(seed, callback)
        for index, task in enumerate(self.tasks):
            fitted, checked = Examples.of(inputs, train, index), Examples.of(checks, valid, index)
            rounds = self.settings.rounds
            if self.rounds is not None:
                checked, rounds = checked.none(), self.rounds[index]
            elif not len(checked.labels):
                rounds = min(rounds, UNCHECKED_ROUNDS)
            with ending(current_deadline().part(1 / (len(self.tasks) - index))):
                boosted.append(boost(task, fitted, checked, rounds, f"{stage}: {task.name}"))
        boosters = [booster for booster, _ in boosted]
        self.keep(*self.converted(boosters))
        self._require_equal_scores(boosters, train.take(slice(0, CHECKED_ROWS)).features)
        return [train_loss for _, train_loss in boosted]

    def learn_as_long_as(self, earlier: SelfTrained) -> bool:
        assert isinstance(earlier, BoostedTrees)
        counts = np.bincount(earlier.forest.tree_task, minlength=len(self.tasks))
        self.settings, self.rounds = earlier.settings, tuple(max(int(count), 1) for count in counts)
        return True

    def learned(self) -> dict[str, Tensor]:
        return {"trees": torch.frombuffer(bytearray(self.to_bytes()), dtype=torch.uint8)}

    def recall(self, tensors: Mapping[str, Tensor]) -> None:
        self.restore(tensors["trees"].numpy().tobytes())

    @abstractmethod
    def converted(self, boosters: Sequence[Any]) -> tuple[LookupTables, Forest]:
        """Make a forest of new boosters, one for each task, and tables that give more columns of its inputs."""

    @abstractmethod
    def raw_scores(self, boosters: Sequence[Any], features: Features) -> np.ndarray:
        """Return the scores (B, T), in double, that the library itself gives to rows."""

    def _require_equal_scores(self, boosters: Sequence[Any], features: Features) -> None:
        """Compare scores with the library's own. Raises RuntimeError, since a difference is our mistake.

        They are equal in all bits where the library adds leaves one by one; another processor's code may add otherwise.
        """
        if not np.allclose(self.scores(features), self.raw_scores(boosters, features), rtol=1e-9, atol=1e-9):
            raise RuntimeError(f"the trees of {type(self).__name__} do not score as its library does; please report it")

    def keep(self, tables: LookupTables, forest: Forest) -> None:
        """Keep these trees. Raises FileError where they do not fit the inputs and tasks."""
        tables.require_sizes(self.inputs.sizes)
        columns, tasks = self.inputs.width + tables.num_tables, len(self.tasks)
        if (forest.num_columns, forest.num_tasks) != (columns, tasks):
            raise FileError(
                f"trees of {forest.num_columns} columns and {forest.num_tasks} tasks do not fit a model of {columns} "
                f"and {tasks}"
            )
        self.tables, self.scorer = tables, ForestScorer(forest)

    @property
    def forest(self) -> Forest:
        """The trees of all tasks: their columns are those of `inputs.matrix`, then those of `tables`."""
        return self._scorer().forest

    def _scorer(self) -> ForestScorer:
        assert self.scorer is not None, "no trees have been boosted yet"
        return self.scorer

    def scores(self, features: Features) -> np.ndarray:
        """Score rows, (B, T) in double."""
        return self._scorer()(self._matrix(features))

    def operations_per_row(self, features: Features) -> float:
        """Return the comparisons, additions and lookups in which a row is scored, on average over these rows."""
        return self._scorer().operations_per_row(self._matrix(features)) + self.tables.num_tables

    def _matrix(self, features: Features) -> np.ndarray:
        """Return the columns of the trees, (B, C)."""
        matrix = self.inputs.matrix(features)
        if not self.tables.num_tables:
            return matrix
        return np.concatenate([matrix, self.tables.columns(self.inputs.ids(features).numpy())], axis=1)

    def forward(self, features: Features) -> Tensor:
        return torch.from_numpy(self.scores(features)).float()

    def to_bytes(self) -> bytes:
        """Return the content of a file that holds the trees."""
        return to_bytes(self.forest.arrays() | (self.tables.arrays() if self.tables.num_tables else {}))

    def restore(self, content: bytes) -> None:
        """Load trees from what `to_bytes` returned. Raises FileError where they cannot be scored."""
        tables, arrays = LookupTables.split(from_bytes(content))
        self.keep(tables, Forest.from_arrays(arrays))
