"""A model of gradient-boosted trees, one booster for each task, by LightGBM (Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from automtl.ensemble.boosted_trees import Boost, BoostedTrees
from automtl.ensemble.boosting import BinnedRows, boost
from automtl.features.batch import Features
from automtl.system.progress import Callback

LIGHTGBM_MISSING = (
    "LightGBM cannot be loaded; run: pip install --force-reinstall lightgbm (on Linux it needs the system's OpenMP "
    "library, too: apt-get install libgomp1)"
)


class TreeModel(BoostedTrees):
    """LightGBM's trees: fields of few ids are split by sets of ids, larger ones by the frequency of an id."""

    suffix = "txt"
    missing = LIGHTGBM_MISSING

    @staticmethod
    def available() -> bool:
        try:
            import lightgbm  # noqa: F401
        except (ImportError, OSError):  # OSError: without the system's OpenMP library
            return False
        return True

    def forward(self, features: Features) -> Tensor:
        matrix, threads = self.inputs.matrix(features), torch.get_num_threads()
        scores = [booster.predict(matrix, raw_score=True, num_threads=threads) for booster in self.boosters]
        return torch.from_numpy(np.stack(scores, axis=1)).float()

    def rows(self, features: Features) -> np.ndarray:
        return self.inputs.matrix(features)

    def booster(self, seed: int, callback: Callback) -> Boost:
        binned = BinnedRows(self.inputs.id_columns)
        return partial(boost, binned=binned, settings=self.settings, seed=seed, callback=callback)

    @property
    def num_parameters(self) -> int:
        """Number of thresholds and leaves of all trees."""
        trees = [tree for booster in self.boosters for tree in booster.dump_model()["tree_info"]]
        return sum(2 * int(tree["num_leaves"]) - 1 for tree in trees)

    def files(self) -> list[bytes]:
        return [booster.model_to_string().encode() for booster in self.boosters]

    def restore(self, files: Sequence[bytes]) -> None:
        from lightgbm import Booster

        self.boosters = [Booster(model_str=file.decode()) for file in files]
