"""A model of gradient-boosted trees by CatBoost (Prokhorenkova et al., NeurIPS 2018), with its native categories."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from automtl.ensemble.boosted_trees import Boost, BoostedTrees
from automtl.ensemble.catboost_boosting import CategoryRows, boost
from automtl.ensemble.catboost_forest import CatBoostForest
from automtl.ensemble.forest import Forest
from automtl.ensemble.lookup_tables import LookupTables
from automtl.features.batch import Features
from automtl.system.progress import Callback

CATBOOST_MISSING = "CatBoost cannot be loaded; run: pip install 'automtl[catboost]'"


class CatBoostTrees(BoostedTrees):
    """CatBoost's trees, in which ids of all fields become ordered target statistics; few ids are split by id, too."""

    missing = CATBOOST_MISSING

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

    def booster(self, seed: int, callback: Callback) -> Boost:
        return partial(boost, settings=self.settings, seed=seed, callback=callback)

    def converted(self, boosters: Sequence[Any]) -> tuple[LookupTables, Forest]:
        return CatBoostForest(self.inputs.width, self.inputs.sizes).of(boosters)

    def raw_scores(self, boosters: Sequence[Any], features: Features) -> np.ndarray:
        pool = self.rows(features).pool()
        return np.stack(
            [one.predict(pool, prediction_type="RawFormulaVal", thread_count=1) for one in boosters], axis=1
        )

    @property
    def num_parameters(self) -> int:
        """Number of thresholds, one a level, and leaves of all trees; tables of target statistics are not counted."""
        if self.scorer is None:
            return 0
        leaves = np.diff(self.forest.tree_start) + 1  # of each tree: 2^d for d levels
        return len(self.forest.leaf) + int(np.log2(leaves).round().sum())
