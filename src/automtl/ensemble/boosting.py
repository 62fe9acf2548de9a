"""Trains boosted trees of one task with LightGBM. N rows, C columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from automtl.ensemble.examples import REPORT_ROUNDS, Examples
from automtl.ensemble.forest_checks import DEPTH
from automtl.ensemble.settings import TreeSettings
from automtl.system.deadline import current_deadline
from automtl.system.journal import end_if_suspended
from automtl.system.progress import Callback, Progress
from automtl.tables.schema import Task, TaskKind
from automtl.training.losses import log_odds_offset


class BinnedRows:
    """Puts training and validation rows into LightGBM's bins, once for tasks that have the same rows.

    `id_columns` are split by sets of ids.
    """

    def __init__(self, id_columns: list[int]) -> None:
        self.id_columns = id_columns
        self.inputs: tuple[np.ndarray, ...] = ()
        self.binned: tuple[Any, ...] = ()

    def datasets(
        self, train: Examples[np.ndarray], valid: Examples[np.ndarray], offset: float, parameters: dict[str, Any]
    ) -> tuple[Any, ...]:
        """Return both as LightGBM's datasets with their labels and weights.

        Log-odds of training rows are larger by `offset`, which is taken from the scores of validation rows.
        """
        import lightgbm

        inputs = (train.inputs, valid.inputs)
        if not self.binned or any(now is not then for now, then in zip(inputs, self.inputs, strict=True)):
            how: dict[str, Any] = {"categorical_feature": self.id_columns, "params": parameters}
            rows = lightgbm.Dataset(train.inputs, **how)
            self.inputs, self.binned = inputs, (rows, lightgbm.Dataset(valid.inputs, reference=rows, **how))
        for data, examples, start in zip(self.binned, (train, valid), (0.0, -offset), strict=True):
            if len(examples.labels):
                _set_rows(data, examples, start)
        return self.binned


def _set_rows(data: Any, examples: Examples[np.ndarray], start: float) -> None:
    """Set labels, weights and the scores to start from; those of another task, which `set_weight` keeps, are gone."""
    data.set_label(examples.labels).construct()
    data.set_field("weight", None if (examples.weights == 1).all() else examples.weights)
    data.set_field("init_score", np.full(len(examples.labels), start) if start else None)


def boost(
    task: Task, train: Examples[np.ndarray], valid: Examples[np.ndarray], rounds: int, stage: str, *,
    binned: BinnedRows, settings: TreeSettings, seed: int, callback: Callback,
) -> tuple[Any, float]:  # fmt: skip
    """Boost the trees of one task; return LightGBM's booster, and the training loss at its best round.

    LightGBM starts from the mean of the training labels, which is part of the first tree. The weights and sampling of
    training rows raise their log-odds; what they add is taken out of that tree. The result depends on `seed` and the
    number of torch's threads.
    """
    import lightgbm

    parameters, offset = _parameters(task.kind, settings, seed), log_odds_offset(task)
    rows, checks = binned.datasets(train.with_positive_weight(task), valid, offset, parameters)
    checked = len(valid.labels) > 0
    judges = [rows, checks] if checked else [rows]
    losses: dict[str, dict[str, list[float]]] = {}
    callbacks = [lightgbm.record_evaluation(losses), _reporter(callback, stage, rounds)]
    if checked:
        callbacks.append(lightgbm.early_stopping(settings.patience, verbose=False))
    booster = lightgbm.train(
        parameters, rows, rounds, valid_sets=judges, valid_names=["training", "validation"][: len(judges)],
        callbacks=callbacks,
    )  # fmt: skip
    (curve,) = losses["training"].values()
    if offset:
        _lower(booster, offset)
    return booster, curve[booster.best_iteration - 1]


def _lower(booster: Any, offset: float) -> None:
    """Lower all scores of a booster by lowering every leaf of its first tree."""
    (tree,) = booster.dump_model(num_iteration=1)["tree_info"]
    for leaf in range(tree["num_leaves"]):
        booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) - offset)


def _parameters(kind: TaskKind, settings: TreeSettings, seed: int) -> dict[str, Any]:
    return {
        "objective": "binary" if kind is TaskKind.BINARY else "regression",
        "metric": "binary_logloss" if kind is TaskKind.BINARY else "l2",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "max_depth": DEPTH,
        "min_data_in_leaf": settings.min_leaf_rows,
        "feature_fraction": settings.column_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "lambda_l2": settings.l2,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": torch.get_num_threads(),
        "verbosity": -1,
    }


def _reporter(callback: Callback, stage: str, rounds: int) -> Any:
    """Make a callback of LightGBM that reports progress, and ends a training whose deadline has passed."""
    import lightgbm

    deadline = current_deadline()

    def report(state: Any) -> None:
        end_if_suspended()
        if deadline.passed:
            raise lightgbm.callback.EarlyStopException(state.iteration, state.evaluation_result_list)
        if state.iteration % REPORT_ROUNDS == 0:
            callback(Progress(stage, state.iteration, rounds, state.evaluation_result_list[-1][2], {}))

    report.order = 25  # type: ignore[attr-defined]  # after the losses of the round are recorded
    return report
