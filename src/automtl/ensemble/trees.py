"""A model of gradient-boosted trees, one booster for each task, by LightGBM (Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from automtl.ensemble.boosted_trees import Boost, BoostedTrees
from automtl.ensemble.boosting import BinnedRows, boost
from automtl.ensemble.forest import Forest
from automtl.ensemble.lightgbm_forest import forest_of
from automtl.ensemble.lookup_tables import NO_TABLES, LookupTables
from automtl.features.batch import Features
from automtl.system.progress import Callback

LIGHTGBM_MISSING = (
    "LightGBM cannot be loaded; run: pip install --force-reinstall lightgbm (on Linux it needs the system's OpenMP "
    "library, too: apt-get install libgomp1)"
)


class TreeModel(BoostedTrees):
    """LightGBM's trees: fields of few ids are split by sets of ids, larger ones by the frequency of an id."""

    missing = LIGHTGBM_MISSING

    @staticmethod
    def available() -> bool:
        try:
            import lightgbm  # noqa: F401
        except (ImportError, OSError):  # OSError: without the system's OpenMP library
            return False
        return True

    def rows(self, features: Features) -> np.ndarray:
        return self.inputs.matrix(features)

    def booster(self, seed: int, callback: Callback) -> Boost:
        binned = BinnedRows(self.inputs.id_columns)
        return partial(boost, binned=binned, settings=self.settings, seed=seed, callback=callback)

    def converted(self, boosters: Sequence[Any]) -> tuple[LookupTables, Forest]:
        return NO_TABLES, forest_of(boosters, self.inputs.width)

    def raw_scores(self, boosters: Sequence[Any], features: Features) -> np.ndarray:
        rows = self.rows(features)
        return np.stack([booster.predict(rows, raw_score=True, num_threads=1) for booster in boosters], axis=1)

    @property
    def num_parameters(self) -> int:
        """Number of thresholds and leaves of all trees."""
        return 0 if self.scorer is None else self.forest.num_parameters
