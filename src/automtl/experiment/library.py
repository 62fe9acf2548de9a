"""The models that an experiment has trained, and the ensemble of the best of them. N rows, T tasks, M models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from automtl.ensemble.cost import flops_per_row
from automtl.ensemble.ensemble import in_order
from automtl.ensemble.selection import ROWS, Choice, select
from automtl.ensemble.settings import SelectionSettings
from automtl.ensemble.spec import MemberSpec, ModelSpec
from automtl.errors import SettingsError
from automtl.experiment.leaderboard import Ranked
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.models.network import count_parameters
from automtl.predictor import Predictor
from automtl.system.progress import Callback, Notice
from automtl.system.stopwatch import timed
from automtl.tables.schema import Task, stages
from automtl.training.evaluation import Evaluator, predict_logits, scores_of
from automtl.training.fit import FitResult, SelfTrained
from automtl.training.latency import row_latency_ms
from automtl.training.losses import MultiTaskLoss
from automtl.training.metrics import plain, primary_metric, task_rows
from automtl.training.settings import TrainingSettings

TIGHTER = 0.8  # share of the bound of latency that a next selection keeps to
INTERIM_ROWS = 1 << 15  # validation rows of selections while models are still trained
INPUTS, TREES, SEARCH, TRAINING, ENSEMBLE = "inputs", "boosted trees", "search", "training", "ensemble"  # stages
BASELINE = "baseline"  # of models that are tested beside the ensemble


@dataclass(frozen=True)
class TrainedModel:
    """A finished training. `stage`: the step of the fit that it is of; `settings`: what differs from the defaults.

    `logits`: (N, T) of validation rows. `training`: its settings, for a model that gradients train. `start`: what gave
    a new model its first weights.
    """

    spec: MemberSpec
    model: nn.Module
    result: FitResult
    logits: Tensor
    stage: str
    settings: dict[str, Any] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0
    start: Callable[[nn.Module], None] | None = None


class Library:
    """Keeps every trained model of the same encoded rows, which `encoder` makes, and selects the final ensemble."""

    def __init__(
        self, encoder: Encoder, valid: Batch, settings: SelectionSettings, seed: int, callback: Callback
    ) -> None:
        self.encoder, self.valid, self.settings, self.seed, self.callback = encoder, valid, settings, seed, callback
        self.tasks: tuple[Task, ...] = encoder.schema.tasks
        self.evaluate = Evaluator(valid, self.tasks, MultiTaskLoss(self.tasks))
        self.models: list[TrainedModel] = []
        self.choices: list[Choice] = []
        self.weights = torch.zeros(0, len(self.tasks))

    def add(self, trained: TrainedModel) -> float:
        """Keep a model, and return the score on validation rows of the best ensemble of all that are kept.

        The callback is told how they rank. A model whose training diverged is not kept; the callback is told of that.
        """
        if not bool(trained.logits.isfinite().all()):
            self.callback(Notice(f"{trained.spec.name}: its training diverged, so that it is left out"))
            return self.score if self.models else math.inf
        self.models.append(trained)
        self.choices.append(self._choice(trained))
        with timed("selection"):
            self._select(INTERIM_ROWS)
        self.callback(Ranked(self.rows()))
        return self.score

    def _choice(self, trained: TrainedModel) -> Choice:
        """Describe a model as one to select; what it costs is measured only where there are bounds."""
        kind = trained.spec.name if isinstance(trained.model, SelfTrained) else "network"
        if not self.settings.bounded:
            return Choice(kind, trained.logits)
        return Choice(kind, trained.logits, self.latency(trained) / 1000, count_parameters(trained.model))

    def _select(self, rows: int) -> None:
        self.weights = select(self.choices, self.valid, self.tasks, self.settings, self.seed, rows)

    @property
    def logits(self) -> Tensor:
        """The logits (N, T) of the ensemble on validation rows."""
        return self.mixed([one.logits for one in self.models])

    def mixed(self, logits: Sequence[Tensor]) -> Tensor:
        """Mix the logits (N, T) of all models as the ensemble does."""
        mixed = torch.stack([logits[place] * self.weights[place] for place in self.selected]).sum(0)
        return in_order(mixed, stages(self.tasks))

    @property
    def score(self) -> float:
        """The score of the ensemble on validation rows; the smaller the better."""
        losses = self.evaluate.loss.over(self.logits, self.valid)
        return float((losses / self.evaluate.base) @ self.evaluate.loss.weights)

    @property
    def selected(self) -> list[int]:
        """The places of the models that have a weight, the greatest first."""
        total = self.weights.sum(1)
        return [place for place in total.argsort(descending=True, stable=True).tolist() if total[place] > 0]

    def predictor(self) -> Predictor:
        """Return the ensemble, or the model that has all the weight, with the encoder of what it needs.

        An ensemble takes a little longer than its members one by one: where it is beyond the bound of latency, members
        are selected again within less. Raises SettingsError where the training of every model diverged.
        """
        if not self.models:
            raise SettingsError("the training of every model diverged; set training.learning_rate to a smaller number")
        given, found = self.settings, self._selected_model()
        while given.max_latency is not None and len(self.selected) > 1:
            seconds = row_latency_ms(found.network, self.valid.for_layout(found.encoder.layout)) / 1000
            if seconds <= given.max_latency:
                break
            assert self.settings.max_latency is not None
            self.settings = replace(self.settings, max_latency=self.settings.max_latency * TIGHTER)
            found = self._selected_model()
        self.settings = given
        return found

    def _selected_model(self) -> Predictor:
        """Select models on all validation rows, and return what they make."""
        self._select(ROWS)
        members = [self.models[place] for place in self.selected]
        spec = ModelSpec(tuple(one.spec for one in members))
        encoder = spec.encoder(self.encoder)
        if len(members) == 1:
            return Predictor(encoder.schema, encoder, spec, members[0].model)
        ensemble = spec.joined([one.model for one in members], encoder)
        ensemble.weights = self.weights[self.selected]
        return Predictor(encoder.schema, encoder, spec, ensemble.eval())

    def shares(self) -> dict[str, dict[str, float]]:
        """Return the weight of each selected model by task."""
        return {
            task.name: {
                self.models[place].spec.name: round(float(self.weights[place, index]), 4) for place in self.selected
            }
            for index, task in enumerate(self.tasks)
        }

    def encoder_of(self, trained: TrainedModel) -> Encoder:
        """Return the encoder of a model's inputs."""
        return trained.spec.encoder(self.encoder)

    def latency(self, trained: TrainedModel) -> float:
        """Measure the milliseconds in which a model scores one row."""
        return row_latency_ms(trained.model, self.valid.for_layout(self.encoder_of(trained).layout))

    def rows(self) -> list[dict[str, Any]]:
        """Describe all models in plain values, the best first, without what takes long to know."""
        ranked = sorted(range(len(self.models)), key=lambda place: self.models[place].result.score)
        return [self._row(place) for place in ranked]

    def _row(self, place: int) -> dict[str, Any]:
        return self._described(self.models[place], list(map(float, self.weights[place])))

    def _described(self, trained: TrainedModel, shares: Sequence[float]) -> dict[str, Any]:
        names = [task.name for task in self.tasks]
        return {
            "name": trained.spec.name, "model": trained.spec.model, "stage": trained.stage,
            "score": trained.result.score, "validation": self.metrics(trained.logits, self.valid), "test": None,
            "seconds": trained.result.seconds, "parameters": count_parameters(trained.model),
            "share": dict(zip(names, shares, strict=True)), "settings": trained.settings,
        }  # fmt: skip

    def metrics(self, logits: Tensor, rows: Batch) -> dict[str, Any]:
        """Return the main metric of each task as plain values."""
        scores = scores_of(logits, self.tasks)
        return {
            task.name: plain(primary_metric(task)(task_rows(scores(index), rows, index)))
            for index, task in enumerate(self.tasks)
        }

    def tested(self, test: Batch) -> list[Tensor]:
        """Predict the logits (N, T) of test rows by each model."""
        return [self.predict(one, test) for one in self.models]

    def predict(self, trained: TrainedModel, rows: Batch) -> Tensor:
        """Predict the logits (N, T) of rows by a model."""
        return predict_logits(trained.model, rows.for_layout(self.encoder_of(trained).layout))

    def leaderboard(self, test: Batch, logits: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Describe the ensemble and all models in plain values, the best first, with metrics on test rows.

        logits: those of `tested`.
        """
        found = []
        for place in sorted(range(len(self.models)), key=lambda place: self.models[place].result.score):
            row = self._row(place)
            found.append(row | self._tested(self.models[place], test, logits[place]))
        if len(self.selected) > 1:
            found.insert(0, self._ensemble_row(test, logits, found))
        return found

    def row_beside(self, trained: TrainedModel, test: Batch, logits: Tensor) -> dict[str, Any]:
        """Describe a model that is none of these in plain values, like a row of the leaderboard."""
        return self._described(trained, [0.0] * len(self.tasks)) | self._tested(trained, test, logits)

    def _tested(self, trained: TrainedModel, test: Batch, logits: Tensor) -> dict[str, Any]:
        """Return metrics of a model on test rows, and what a row costs."""
        rows = self.valid.for_layout(self.encoder_of(trained).layout)
        return {
            "test": self.metrics(logits, test), "latency_ms": self.latency(trained),
            "flops_per_row": flops_per_row(trained.model, rows),
        }  # fmt: skip

    def _ensemble_row(self, test: Batch, logits: Sequence[Tensor], rows: list[dict[str, Any]]) -> dict[str, Any]:
        kept = {self.models[place].spec.name for place in self.selected}
        own = self.predictor()
        return {
            "name": ENSEMBLE, "model": ENSEMBLE, "stage": ENSEMBLE, "score": self.score,
            "validation": self.metrics(self.logits, self.valid), "test": self.metrics(self.mixed(logits), test),
            "seconds": sum(row["seconds"] for row in rows if row["name"] in kept),
            "latency_ms": row_latency_ms(own.network, self.valid.for_layout(own.encoder.layout)),
            "flops_per_row": flops_per_row(own.network, self.valid.for_layout(own.encoder.layout)),
            "parameters": count_parameters(own.network), "share": {task.name: 1.0 for task in self.tasks},
            "settings": {},
        }  # fmt: skip
