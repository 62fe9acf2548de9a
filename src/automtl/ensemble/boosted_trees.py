"""The base class of models of boosted trees, whichever library boosts them. B rows, T tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch

from automtl.ensemble.examples import Examples
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.tree_inputs import TreeInputs
from automtl.errors import SettingsError
from automtl.features.batch import Batch, Features, subset
from automtl.features.layout import Layout
from automtl.models.settings import NetworkSettings
from automtl.system.deadline import current_deadline, ending
from automtl.system.progress import Callback
from automtl.tables.schema import Task
from automtl.training.fit import SelfTrained
from automtl.training.targets import Targets

DEFAULT = TreeSettings()
# Boosts the trees of one task on training and validation rows; takes a stage of progress, too, and returns a booster's
# file, and the training loss at its best round.
Boost = Callable[[Task, Examples[Any], Examples[Any], str], tuple[bytes, float]]


class BoostedTrees(SelfTrained):
    """Boosted trees of all tasks: features -> logits (B, T), or values for regression; it ignores network settings.

    `suffix`: of the names of files that hold a booster. `missing`: the remedy where the library cannot be loaded.
    """

    suffix: ClassVar[str]
    missing: ClassVar[str]

    def __init__(
        self, layout: Layout, settings: NetworkSettings, generator: torch.Generator, trees: TreeSettings = DEFAULT
    ) -> None:
        super().__init__()
        self.settings = trees
        self.check(layout.tasks)
        self.inputs, self.tasks = TreeInputs(layout), layout.tasks
        self.boosters: list[Any] = []

    @classmethod
    def check(cls, tasks: Sequence[Task]) -> None:
        """Check that the library can be loaded. Raises SettingsError."""
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
        train, valid = (subset(rows, self.settings.max_rows, seed) for rows in (train, valid))
        inputs, checks = self.rows(train.features), self.rows(valid.features)
        train, valid = (replace(rows, labels=Targets(self.tasks)(rows.labels)) for rows in (train, valid))
        boosted, boost = [], self.booster(seed, callback)
        for index, task in enumerate(self.tasks):
            fitted, checked = Examples.of(inputs, train, index), Examples.of(checks, valid, index)
            with ending(current_deadline().part(1 / (len(self.tasks) - index))):
                boosted.append(boost(task, fitted, checked, f"{stage}: {task.name}"))
        self.restore([file for file, _ in boosted])
        return [train_loss for _, train_loss in boosted]

    @abstractmethod
    def files(self) -> list[bytes]:
        """Return the contents of files that hold the boosters, one for each task."""

    @abstractmethod
    def restore(self, files: Sequence[bytes]) -> None:
        """Load boosters from what `files` returned."""
