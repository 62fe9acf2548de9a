"""Trains boosted trees of one task with CatBoost. N rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from automtl.ensemble.examples import REPORT_ROUNDS, Examples
from automtl.ensemble.settings import TreeSettings
from automtl.errors import SettingsError
from automtl.system.deadline import current_deadline
from automtl.system.journal import end_if_suspended
from automtl.system.progress import Callback, Progress
from automtl.tables.schema import Task, TaskKind
from automtl.training.losses import log_odds_offset

LEAST_RATE = 1e-6  # of the labels to start from, so that their log-odds are finite


@dataclass(frozen=True)
class CategoryRows:
    """Rows as CatBoost reads them. ids: (N, C) of categorical fields; numbers: (N, M) float32; words: those of all ids.

    CatBoost's quickest way in for few rows has categories as texts, here of the ids.
    """

    ids: np.ndarray
    numbers: np.ndarray
    words: np.ndarray

    def __getitem__(self, keep: np.ndarray) -> CategoryRows:
        return CategoryRows(self.ids[keep], self.numbers[keep], self.words)

    def pool(self, **values: Any) -> Any:
        """Return CatBoost's pool of the rows; `values`: labels, weights and baselines."""
        from catboost import FeaturesData, Pool

        ids = self.words[self.ids] if self.ids.shape[1] else None
        numbers = np.ascontiguousarray(self.numbers) if self.numbers.shape[1] else None
        return Pool(FeaturesData(num_feature_data=numbers, cat_feature_data=ids), **values)


def boost(
    task: Task, train: Examples[CategoryRows], valid: Examples[CategoryRows], rounds: int, stage: str, *,
    settings: TreeSettings, seed: int, callback: Callback,
) -> tuple[Any, float]:  # fmt: skip
    """Boost the trees of one task; return CatBoost's model of those up to the best round, and the training loss there.

    Trees start from the mean of the training labels. The weights and sampling of training rows raise their log-odds;
    what they add is taken out of the start afterwards, and of the scores of validation rows. The result depends on
    `seed` and the number of torch's threads. Raises SettingsError where no input has two values.
    """
    import catboost

    train, offset, checked = train.with_positive_weight(task), log_odds_offset(task), len(valid.labels) > 0
    start = _start(task, train)
    model = catboost.CatBoost(_parameters(task, settings, rounds, seed))
    try:
        model.fit(
            _pool(train, start), eval_set=_pool(valid, start - offset) if checked else None,
            early_stopping_rounds=settings.patience if checked else None, callbacks=[Reporter(callback, stage, rounds)],
        )  # fmt: skip
    except catboost.CatBoostError as error:
        if "constant or ignored" not in str(error):
            raise
        raise SettingsError(
            f"model 'catboost': no input has two values on the rows of task '{task.name}'; choose another model"
        ) from None
    (curve,) = model.get_evals_result()["learn"].values()
    loss = curve[model.tree_count_ - 1]
    model.set_scale_and_bias(1.0, start - offset)
    return model, loss if task.kind is TaskKind.BINARY else loss**2


class Reporter:
    """Reports progress, and ends a training whose deadline has passed."""

    def __init__(self, callback: Callback, stage: str, rounds: int) -> None:
        self.callback, self.stage, self.rounds, self.deadline = callback, stage, rounds, current_deadline()

    def after_iteration(self, state: Any) -> bool:
        """Tell whether the training goes on; CatBoost calls it after each round."""
        end_if_suspended()
        if state.iteration % REPORT_ROUNDS == 0:
            (curve,) = (state.metrics.get("validation") or state.metrics["learn"]).values()
            self.callback(Progress(self.stage, state.iteration, self.rounds, curve[-1], {}))
        return not self.deadline.passed


def _start(task: Task, rows: Examples[CategoryRows]) -> float:
    """Return the score of all rows before the first tree: the log-odds of their labels, or their mean."""
    mean = float(np.average(rows.labels, weights=rows.weights))
    if task.kind is not TaskKind.BINARY:
        return mean
    rate = min(max(mean, LEAST_RATE), 1 - LEAST_RATE)
    return math.log(rate / (1 - rate))


def _pool(rows: Examples[CategoryRows], start: float) -> Any:
    weights = None if (rows.weights == 1).all() else rows.weights
    return rows.inputs.pool(label=rows.labels, weight=weights, baseline=np.full(len(rows.labels), start))


def _parameters(task: Task, settings: TreeSettings, rounds: int, seed: int) -> dict[str, Any]:
    own, binary = settings.catboost, task.kind is TaskKind.BINARY
    loss = {"loss_function": "Logloss", "target_border": 0.5} if binary else {"loss_function": "RMSE"}
    return loss | {
        "iterations": rounds,
        "learning_rate": own.learning_rate,
        "depth": own.depth,
        "rsm": own.column_share,
        "l2_leaf_reg": own.l2,
        "one_hot_max_size": own.one_hot,
        "max_ctr_complexity": 1,
        "boost_from_average": False,
        "allow_const_label": True,
        "random_seed": seed,
        "thread_count": torch.get_num_threads(),
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
