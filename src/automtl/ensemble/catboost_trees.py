"""A model of gradient-boosted trees by CatBoost (Prokhorenkova et al., NeurIPS 2018), with its native categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automtl.ensemble.boosted_trees import Boost, BoostedTrees
from automtl.ensemble.catboost_boosting import CategoryRows, boost, load, save
from automtl.features.batch import Features
from automtl.system.progress import Callback

CATBOOST_MISSING = "CatBoost cannot be loaded; run: pip install 'automtl[catboost]'"


class CatBoostTrees(BoostedTrees):
    """CatBoost's trees, in which ids of all fields become ordered target statistics; few ids are split by id, too."""

    missing = CATBOOST_MISSING
    boosters: Sequence[Any] = ()

    @staticmethod
    def available() -> bool:
        try:
            import catboost  # noqa: F401
        except (ImportError, OSError):
            return False
        return True

    @cached_property
    def _words(self) -> np.ndarray:
        """The texts of all ids, (largest size of a field,) of bytes."""
        return np.arange(max(self.inputs.sizes, default=0)).astype("S").astype(object)

    def rows(self, features: Features) -> CategoryRows:
        return CategoryRows(self.inputs.ids(features).numpy(), self.inputs.numbers(features), self._words)

    def forward(self, features: Features) -> Tensor:
        pool, threads = self.rows(features).pool(), torch.get_num_threads()
        scores = [one.predict(pool, prediction_type="RawFormulaVal", thread_count=threads) for one in self.boosters]
        return torch.from_numpy(np.stack(scores, axis=1)).float()

    def booster(self, seed: int, callback: Callback) -> Boost:
        return partial(boost, settings=self.settings, seed=seed, callback=callback)

    @property
    def num_parameters(self) -> int:
        """Number of thresholds, one a level, and leaves of all trees; tables of target statistics are not counted."""
        return sum(len(booster.get_leaf_values()) + int(_levels(booster)) for booster in self.boosters)

    def take(self, boosters: Sequence[Any], rows: CategoryRows) -> None:
        self.boosters = boosters

    def file_names(self) -> list[str]:
        return [f"{task}.cbm" for task in range(len(self.tasks))]

    def files(self) -> dict[str, bytes]:
        return {name: save(booster) for name, booster in zip(self.file_names(), self.boosters, strict=True)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        self.check(self.tasks)
        self.boosters = [load(files[name]) for name in self.file_names()]


def _levels(booster: Any) -> int:
    """Return the number of levels of all trees, of which a tree of 2^d leaves has d."""
    leaves: np.ndarray = booster.get_tree_leaf_counts()
    return int(np.log2(leaves).round().sum())
