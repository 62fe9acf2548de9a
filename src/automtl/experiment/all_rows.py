"""The last training of a fit: selected models are trained once more, on training and validation rows together.

Choices need rows that no model was trained on. Once they are made, these rows can be learned from, too; where a log is
split by time, they are the newest ones. N training rows, V validation rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from automtl.ensemble.ensemble import Ensemble
from automtl.errors import DivergedError
from automtl.experiment.inputs import EncodedRows
from automtl.experiment.library import TrainedModel
from automtl.features.batch import Batch
from automtl.predictor import Predictor
from automtl.system.deadline import current_deadline
from automtl.system.progress import Callback, Notice
from automtl.system.workers import agreed
from automtl.training.fit import SelfTrained, fit_as_long
from automtl.training.sampling import sample_negatives

ALL_ROWS = "all rows"  # stage of the fit, step of its waterfall, row of its leaderboard
ALL_ROWS_SHARE = 0.35  # of a time limit, which is kept for it
IN_TRAINING = "it was trained on these rows"
TOO_MANY = "rows that do not fit in memory are trained on once"


@dataclass(frozen=True)
class AllRowsTraining:
    """Trains models as long as they were trained before, with the same inputs, settings and seed.

    A model is left as it was where time does not suffice, where its training diverges, where it does not fit the
    validation rows better than before, which it should since it has seen them, and where it has no way to do it.
    """

    rows: EncodedRows
    seed: int
    callback: Callback

    def predictor(self, before: Predictor, models: Sequence[TrainedModel]) -> tuple[Predictor, dict[str, Any]]:
        """Return the predictor with its models trained on all rows, and what was done in plain values.

        models: those of the predictor, in the order of its members.
        """
        count = len(self.rows.train) + len(self.rows.valid)
        told: dict[str, Any] = {"rows": count, "models": {}, "left_out": None}
        if not self.fit_in_memory:
            return before, told | {"left_out": TOO_MANY}
        whole, made = self.joined(), []
        for one in models:
            made.append(self.trained(one, whole))
            told["models"][one.spec.name] = made[-1] is not one.model
        return _with_models(before, made), told

    @property
    def fit_in_memory(self) -> bool:
        """Tell whether all rows can be held in memory."""
        train = self.rows.train
        return train.buffer_rows is None or len(train) + len(self.rows.valid) <= train.buffer_rows

    def joined(self) -> Batch:
        """Put the rows together; negatives of validation rows are sampled as those of training rows were."""
        schema = self.rows.encoder.schema
        valid = sample_negatives(self.rows.valid, schema.tasks, schema.negative_share, self.seed)
        return Batch.joined([self.rows.train, valid])

    def trained(self, earlier: TrainedModel, whole: Batch) -> nn.Module:
        """Return a model that is trained on these rows, or the earlier one."""
        ratio = len(whole) / len(self.rows.train)
        if agreed(current_deadline().seconds_left < earlier.result.seconds * ratio):  # workers have clocks of their own
            return earlier.model
        encoder, tasks = earlier.spec.encoder(self.rows.encoder), self.rows.encoder.schema.tasks
        model = earlier.spec.build(self.rows.encoder, earlier.seed)
        if isinstance(model, SelfTrained):
            assert isinstance(earlier.model, SelfTrained)
            if not model.learn_as_long_as(earlier.model):
                return earlier.model
        elif earlier.start is not None:
            earlier.start(model)
        rows, valid = (part.for_layout(encoder.layout) for part in (whole, self.rows.valid))
        try:
            result = fit_as_long(
                model, earlier.result, ratio, rows, valid, tasks, earlier.training, earlier.seed, self.callback,
                f"training {earlier.spec.name} on all rows",
            )  # fmt: skip
        except DivergedError as error:
            self.callback(Notice(f"{error}; it stays as it was trained before"))
            return earlier.model
        return model if result is not None and result.score < earlier.result.score else earlier.model


def _with_models(before: Predictor, models: Sequence[nn.Module]) -> Predictor:
    """Return a predictor with other models, which are mixed by the same weights."""
    if not isinstance(before.network, Ensemble):
        return replace(before, network=models[0])
    ensemble = before.spec.joined(models, before.encoder)
    ensemble.weights = before.network.weights
    return replace(before, network=ensemble.eval())


def all_rows_row(chosen: dict[str, Any], test: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Describe the final model as a row of the leaderboard. chosen: the row of the model before; test: its metrics."""
    unknown = {"undefined": IN_TRAINING}
    return chosen | {
        "name": ALL_ROWS, "stage": ALL_ROWS, "score": None, "validation": dict.fromkeys(chosen["validation"], unknown),
        "test": test, "seconds": seconds,
    }  # fmt: skip
