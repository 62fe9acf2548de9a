"""The base class of models of boosted trees, whichever library boosts them. B rows, T tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

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
# Boosts the trees of one task on training and validation rows; takes a stage of progress, too, and returns the
# library's booster of those up to the best round, and the training loss there.
Boost = Callable[[Task, Examples[Any], Examples[Any], str], tuple[Any, float]]


class BoostedTrees(SelfTrained):
    """Boosted trees of all tasks: features -> logits (B, T), or values for regression; it ignores network settings.

    `missing`: the remedy where the library that boosts them cannot be loaded.
    """

    missing: ClassVar[str]

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
            with ending(current_deadline().part(1 / (len(self.tasks) - index))):
                boosted.append(boost(task, fitted, checked, f"{stage}: {task.name}"))
        self.take([booster for booster, _ in boosted], inputs)
        return [train_loss for _, train_loss in boosted]

    def learned(self) -> dict[str, Tensor]:
        return {name: torch.frombuffer(bytearray(file), dtype=torch.uint8) for name, file in self.files().items()}

    def recall(self, tensors: Mapping[str, Tensor]) -> None:
        self.restore({name: one.numpy().tobytes() for name, one in tensors.items()})

    @abstractmethod
    def take(self, boosters: Sequence[Any], rows: Any) -> None:
        """Keep the trees of new boosters, one for each task. `rows`: some of those that they have learned from."""

    @abstractmethod
    def file_names(self) -> list[str]:
        """Return the names of the files that hold the trees."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """Return the contents of the files that hold the trees, by name."""

    @abstractmethod
    def restore(self, files: Mapping[str, bytes]) -> None:
        """Load trees from what `files` returned. Raises FileError where they cannot be scored."""
