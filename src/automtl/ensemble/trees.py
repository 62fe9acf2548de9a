"""A model of gradient-boosted trees, one booster for each task, by LightGBM (Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automtl.ensemble.boosted_trees import Boost, BoostedTrees
from automtl.ensemble.boosting import BinnedRows, boost
from automtl.ensemble.forest import Forest
from automtl.ensemble.forest_scorer import ForestScorer
from automtl.ensemble.lightgbm_forest import forest_of, require_equal_scores
from automtl.errors import FileError
from automtl.features.batch import Features
from automtl.system.progress import Callback

LIGHTGBM_MISSING = (
    "LightGBM cannot be loaded; run: pip install --force-reinstall lightgbm (on Linux it needs the system's OpenMP "
    "library, too: apt-get install libgomp1)"
)
FILE = "safetensors"


class TreeModel(BoostedTrees):
    """LightGBM's trees: fields of few ids are split by sets of ids, larger ones by the frequency of an id.

    LightGBM boosts them; they are kept, saved and scored as a `Forest`, without it.
    """

    missing = LIGHTGBM_MISSING
    scorer: ForestScorer | None = None

    @staticmethod
    def available() -> bool:
        try:
            import lightgbm  # noqa: F401
        except (ImportError, OSError):  # OSError: without the system's OpenMP library
            return False
        return True

    @property
    def forest(self) -> Forest:
        """The trees of all tasks, once they are boosted or restored."""
        assert self.scorer is not None, "no trees have been boosted yet"
        return self.scorer.forest

    def forward(self, features: Features) -> Tensor:
        assert self.scorer is not None, "no trees have been boosted yet"
        return torch.from_numpy(self.scorer(self.inputs.matrix(features))).float()

    def rows(self, features: Features) -> np.ndarray:
        return self.inputs.matrix(features)

    def booster(self, seed: int, callback: Callback) -> Boost:
        binned = BinnedRows(self.inputs.id_columns)
        return partial(boost, binned=binned, settings=self.settings, seed=seed, callback=callback)

    def take(self, boosters: Sequence[Any], rows: np.ndarray) -> None:
        self.scorer = ForestScorer(forest_of(boosters, self.inputs.width))
        require_equal_scores(self.scorer, boosters, rows)

    @property
    def num_parameters(self) -> int:
        """Number of thresholds and leaves of all trees."""
        return 0 if self.scorer is None else self.forest.num_parameters

    def file_names(self) -> list[str]:
        return [FILE]

    def files(self) -> dict[str, bytes]:
        return {FILE: self.forest.to_bytes()}

    def restore(self, files: Mapping[str, bytes]) -> None:
        forest = Forest.from_bytes(files[FILE])
        if (forest.num_columns, forest.num_tasks) != (self.inputs.width, len(self.tasks)):
            raise FileError(
                f"trees of {forest.num_columns} columns and {forest.num_tasks} tasks do not fit a model of "
                f"{self.inputs.width} and {len(self.tasks)}"
            )
        self.scorer = ForestScorer(forest)
