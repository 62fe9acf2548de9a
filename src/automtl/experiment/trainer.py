"""Trains models on the rows of an experiment, one after another, and counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from torch import nn

from automtl.config import Settings
from automtl.ensemble.ensemble import trees_of
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.spec import MemberSpec
from automtl.experiment.inputs import ModelInputs
from automtl.experiment.library import INPUTS, TrainedModel
from automtl.models.registry import EVERY_MODEL, check_logits
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Callback, Whole
from automtl.system.stopwatch import timed
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings


class Trainer:
    """Trains new models under the settings of an experiment.

    `planned`: tells about how many trainings there will be; None without an end. The callback is told of each that has
    ended. `reference_seconds`: time of the small models that judge inputs.
    """

    def __init__(self, settings: Settings, seed: int, callback: Callback, planned: Callable[[], int | None]) -> None:
        self.settings, self.seed, self.callback, self.planned = settings, seed, callback, planned
        self.ended, self.reference_seconds = 0, 0.0

    def count(self, trainings: int = 1) -> None:
        """Tell the callback that some more trainings have ended, and about how many there will be."""
        self.ended += trainings
        planned = self.planned()
        self.callback(Whole(self.ended, None if planned is None else max(planned, self.ended)))

    def reference(self, model: str, inputs: ModelInputs, name: str) -> TrainedModel:
        """Train a published model that judges these inputs. Raises DivergedError."""
        spec = MemberSpec(name, model, inputs.network, inputs=inputs.groups)
        with timed("inputs"):
            trained = self.train(spec, inputs, INPUTS, f"choosing inputs: {inputs.preset}")
        self.reference_seconds += trained.result.seconds
        return trained

    def train(
        self, spec: MemberSpec, inputs: ModelInputs, stage: str, said: str, *, trees: TreeSettings | None = None,
        start: Callable[[nn.Module], None] | None = None,
    ) -> TrainedModel:  # fmt: skip
        """Train a new model of these inputs. `said`: what progress calls it. `start`: changes its first weights.

        Raises DivergedError.
        """
        rows = inputs.all_rows
        tasks = rows.encoder.schema.tasks
        layout = spec.encoder(rows.encoder).layout
        train, valid = rows.train.for_layout(layout), rows.valid.for_layout(layout)
        model = spec.build(rows.encoder, self.seed)
        for one in trees_of(model):
            one.settings = inputs.trees if trees is None else trees
        if spec.model not in EVERY_MODEL:
            check_logits(spec.model, model, train.take(slice(0, 2)))
        if start is not None:
            start(model)
        result = fit(model, train, valid, tasks, inputs.training, self.seed, self.callback, said)
        self.count()
        changed = changes_of(self.settings, inputs.network, inputs.training)
        return TrainedModel(
            spec, model, result, predict_logits(model, valid), stage, changed, inputs.training, self.seed, start
        )  # fmt: skip


def changes_of(settings: Settings, network: NetworkSettings, training: TrainingSettings) -> dict[str, Any]:
    """Return the settings of a network and its training that differ from those of the experiment."""
    sections = ((settings.network, network), (settings.training, training))
    return {
        one.name: getattr(made, one.name)
        for given, made in sections
        for one in fields(given)
        if getattr(made, one.name) != getattr(given, one.name)
    }
