"""Distill a saved ensemble into one network, which is served at the price of one. N rows, T tasks.

The network learns from the labels and from the ensemble's scores (Bucila et al., Model compression, KDD 2006; Hinton et
al., Distilling the knowledge in a neural network, 2015).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from automtl.dataset.store import data_loader
from automtl.ensemble.cost import flops_per_row
from automtl.ensemble.ensemble import Ensemble
from automtl.ensemble.spec import MemberSpec, ModelSpec
from automtl.errors import SettingsError
from automtl.experiment.all_rows import AllRowsTraining
from automtl.experiment.costs import costs_of, note_seconds
from automtl.experiment.fit import Run
from automtl.experiment.inputs import EncodedSource
from automtl.experiment.library import TrainedModel
from automtl.experiment.provenance import describe_making
from automtl.experiment.recorded import RecordedFit
from automtl.experiment.waterfall import waterfall
from automtl.features.batch import Batch
from automtl.models.network import count_parameters, mean_gate_weights
from automtl.predictor import Predictor
from automtl.system.manifest import MODEL
from automtl.system.memory import keep_freed_memory, peak_memory_bytes
from automtl.system.progress import Callback, ignore
from automtl.system.stopwatch import measured, timed
from automtl.system.trust import names_of_folder
from automtl.tables.schema import Task
from automtl.training.curves import label_summary, task_curves
from automtl.training.evaluation import Evaluator, predict_logits, scores_of
from automtl.training.fit import FitResult, SelfTrained, fit
from automtl.training.latency import row_latency_ms
from automtl.training.losses import MultiTaskLoss
from automtl.training.metrics import plain, primary_metric, task_rows
from automtl.training.soft_labels import with_soft_labels

SOFT_WEIGHTS = (1.0, 0.8)  # of the scores among what is learned; the best one on validation rows is taken
ENSEMBLE, SINGLE, DISTILLED = "ensemble", "single network", "distilled network"


@keep_freed_memory()
@measured()
def distill(
    folder: Path | str, source: Any = None, *, out: Path | str | None = None, overwrite: bool = False,
    callback: Callback = ignore,
) -> Run:  # fmt: skip
    """Train one network on the scores of a saved ensemble, on the rows that it was fitted on, and test it.

    It is the network of the ensemble that is best on validation rows, trained anew on the same inputs; an ensemble
    without networks is distilled into the reference model of its settings. `source`: the table, which may be left out
    where the run records its path. The result is a run like that of a fit; the leaderboard in its history has the
    ensemble, the network as it was, and the distilled one. Raises SettingsError for a model that is no ensemble, and
    for another table.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "ensemble": True, "presets": [], "training": {"epochs": 1}, "trees": {"rounds": 20}}
    >>> run = automtl.fit_table(log, ["click"], settings=automtl.read_settings(None, quick), out="runs/ensemble")
    >>> [row["name"] for row in automtl.distill("runs/ensemble", log).history["leaderboard"]]
    ['ensemble', 'single network', 'distilled network']
    """
    if out is not None:
        MODEL.require_free(Path(out), overwrite)
    ensemble, recorded = Predictor.load(folder), RecordedFit.read(folder)
    if not isinstance(ensemble.network, Ensemble):
        raise SettingsError(f"the model in '{folder}' is one model already; distill a run whose model is an ensemble")
    rows = recorded.open(source, ensemble.schema)
    with data_loader(recorded.settings.data_loader, out) as loader, names_of_folder():
        run = Distillation(ensemble, recorded, EncodedSource(rows, loader), callback).run()
    run.metrics["made"] = describe_making()
    note_seconds(run.metrics)
    return run if out is None else run.save(out, overwrite=overwrite)


@dataclass(frozen=True)
class Scored:
    """A model with its logits, (N, T), of validation and of test rows, and the seconds of its training."""

    name: str
    predictor: Predictor
    valid: Tensor
    test: Tensor
    seconds: float | None


@dataclass(frozen=True)
class Trial:
    """A network that was trained on labels in which the ensemble's scores have a weight."""

    predictor: Predictor
    soft_weight: float
    result: FitResult

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        inputs = asdict(self.predictor.spec.members[0].inputs)
        return {"soft_weight": self.soft_weight, "inputs": inputs, "score": self.result.score}


class Distillation:
    """The steps that make one network of an ensemble: train it with several weights of the scores, choose, test."""

    def __init__(
        self, ensemble: Predictor, recorded: RecordedFit, source: EncodedSource, callback: Callback = ignore
    ) -> None:
        self.ensemble, self.recorded, self.source, self.callback = ensemble, recorded, source, callback
        self.tasks, self.rows = ensemble.schema.tasks, source.like(ensemble.encoder, recorded.settings.encoder)
        self.history, self.measured = recorded.part("history"), recorded.part("metrics")
        self.evaluate = Evaluator(self.rows.valid, self.tasks, MultiTaskLoss(self.tasks))
        self.single = self._best_network()
        self.spec = self._reference() if self.single is None else self.single.spec.members[0]

    def _best_network(self) -> Predictor | None:
        """Return the network of the ensemble that is best on validation rows; None where there is no network."""
        assert isinstance(self.ensemble.network, Ensemble)
        members = zip(self.ensemble.spec.members, self.ensemble.network.members, strict=True)
        networks = [self._alone(spec, model) for spec, model in members if not isinstance(model, SelfTrained)]
        return min(
            networks, key=lambda one: self.recorded.recorded_row(one.spec.members[0].name)["score"], default=None
        )

    def _alone(self, spec: MemberSpec, model: nn.Module) -> Predictor:
        """Return the predictor of one model, with the encoder of its inputs alone."""
        encoder = spec.encoder(self.ensemble.encoder)
        return Predictor(encoder.schema, encoder, ModelSpec((spec,)), model, at_fit=self.ensemble.at_fit)

    def _reference(self) -> MemberSpec:
        """Specify the reference model of the settings on the inputs of all members."""
        settings, inputs = self.recorded.settings, [one.inputs for one in self.ensemble.spec.members]
        return MemberSpec(settings.reference, settings.reference, settings.network, inputs=reduce(or_, inputs))

    def _logits(self, predictor: Predictor, rows: Batch) -> Tensor:
        return predict_logits(predictor.network, rows.for_layout(predictor.encoder.layout))

    def _score(self, logits: Tensor) -> float:
        """Return the normalised loss on validation rows; smaller is better."""
        evaluate = self.evaluate
        return float((evaluate.loss.over(logits, self.rows.valid) / evaluate.base) @ evaluate.loss.weights)

    def run(self) -> Run:
        """Train the network, and compare it on test rows with the ensemble and with the network as it was."""
        trials = self._trials()
        best = min(trials, key=lambda trial: trial.result.score)
        final, seconds = self._on_all_rows(best)
        test = self.source.test(self.rows)
        scored = self._scored(best, final, sum(trial.result.seconds for trial in trials) + seconds, test)
        leaderboard = [self._row(one, test) for one in scored]
        told = {
            "from": str(self.recorded.folder), "trials": [trial.to_dict() for trial in trials],
            "chosen": trials.index(best), "kept": kept_shares(leaderboard, self.tasks),
        }  # fmt: skip
        history = {
            "presets": self.history.get("presets", []), "search": None, "histories": self.history.get("histories"),
            "training": {"best": best.result.best, "evaluations": [one.to_dict() for one in best.result.evaluations]},
            "leaderboard": leaderboard, "distillation": told,
        }  # fmt: skip
        metrics, curves = self._metrics(scored, test), self._curves(scored[-1], test)
        unseen = [(test, scored[-1].test)]
        if final.network is best.predictor.network:
            unseen.insert(0, (self.rows.valid, scored[-1].valid))
        scores = [scores_of(logits, self.tasks) for _, logits in unseen]
        predictor = final.profiled(self.rows.train, [rows for rows, _ in unseen], scores)
        return Run(predictor, metrics, history, curves, self._settings())

    def _trials(self) -> list[Trial]:
        """Train networks with each weight of the scores; the first weight decides whether more inputs are better."""
        first, *others = SOFT_WEIGHTS
        every = replace(self.spec, inputs=reduce(or_, [one.inputs for one in self.ensemble.spec.members]))
        trials = [self._train(spec, first) for spec in dict.fromkeys((self.spec, every))]
        spec = min(trials, key=lambda trial: trial.result.score).predictor.spec.members[0]
        return [*trials, *(self._train(spec, weight) for weight in others)]

    def _train(self, spec: MemberSpec, soft_weight: float) -> Trial:
        """Train a new network on labels mixed with the ensemble's scores."""
        seed, rows = self.recorded.seed, self.rows
        student = self._alone(replace(spec, name=DISTILLED), spec.build(self.ensemble.encoder, seed))
        soft = with_soft_labels(rows.train, self._soft, soft_weight, self.tasks)
        layout, training = student.encoder.layout, self.recorded.training_of(self.spec.name)
        with timed("training"):
            result = fit(
                student.network, soft.for_layout(layout), rows.valid.for_layout(layout), self.tasks, training, seed,
                self.callback, f"training with weight {soft_weight:g} of the scores",
            )  # fmt: skip
        return Trial(student, soft_weight, result)

    @property
    def _saw_all_rows(self) -> bool:
        """Tell whether the ensemble was trained on validation rows, too."""
        return any(((self.history.get("all_rows") or {}).get("models") or {}).values())

    def _on_all_rows(self, best: Trial) -> tuple[Predictor, float]:
        """Train the best network once more on training and validation rows, if the ensemble was, and tell seconds."""
        student, start = best.predictor, time.perf_counter()
        again = AllRowsTraining(self.rows, self.recorded.seed, self.callback)
        if not (self._saw_all_rows and again.fit_in_memory):
            return student, 0.0
        whole = again.joined()
        soft = with_soft_labels(whole, self._logits(self.ensemble, whole), best.soft_weight, self.tasks)
        training = self.recorded.training_of(self.spec.name)
        spec, none = student.spec.members[0], torch.empty(0, len(self.tasks))
        earlier = TrainedModel(
            spec, student.network, best.result, none, DISTILLED, training=training, seed=self.recorded.seed
        )  # fmt: skip
        return replace(student, network=again.trained(earlier, soft)), time.perf_counter() - start

    @cached_property
    def _soft(self) -> Tensor:
        """The ensemble's logits of the training rows, (N, T)."""
        return self._logits(self.ensemble, self.rows.train)

    def _scored(self, best: Trial, distilled: Predictor, seconds: float, test: Batch) -> list[Scored]:
        """Score validation and test rows with the ensemble, the network as it was, if there is one, and the new one.

        The new one scores validation rows as it did before it was trained on them.
        """
        named = [(ENSEMBLE, self.ensemble, self.recorded.recorded_row(ENSEMBLE).get("seconds"))]
        if self.single is not None:
            named.append((SINGLE, self.single, self.recorded.recorded_row(self.spec.name).get("seconds")))
        named.append((DISTILLED, distilled, seconds))
        return [
            Scored(
                name, one, self._logits(best.predictor if one is distilled else one, self.rows.valid),
                self._logits(one, test), took,
            )
            for name, one, took in named
        ]  # fmt: skip

    def _row(self, one: Scored, test: Batch) -> dict[str, Any]:
        """Describe a model in plain values, like a row of the leaderboard of a fit."""
        model, layout = one.predictor.network, one.predictor.encoder.layout
        alone = one.predictor.spec.members[0].name if one.name == SINGLE else one.predictor.spec.model
        judged = {"score": self._score(one.valid), "validation": self._main_metrics(one.valid, self.rows.valid)}
        if self._saw_all_rows and one.name != DISTILLED:  # then only the fit knows how they score rows they did not see
            known = self.recorded.recorded_row(ENSEMBLE if one.name == ENSEMBLE else self.spec.name)
            judged = {name: known[name] for name in judged}
        return judged | {
            "name": one.name, "model": one.name if one.name == ENSEMBLE else alone, "stage": one.name,
            "test": self._main_metrics(one.test, test), "seconds": one.seconds,
            "latency_ms": row_latency_ms(model, self.rows.valid.for_layout(layout)),
            "flops_per_row": flops_per_row(model, self.rows.valid.for_layout(layout)),
            "parameters": count_parameters(model),
            "share": {task.name: float(one.name == DISTILLED) for task in self.tasks}, "settings": {},
        }  # fmt: skip

    def _main_metrics(self, logits: Tensor, rows: Batch) -> dict[str, Any]:
        scores = scores_of(logits, self.tasks)
        return {
            task.name: plain(primary_metric(task)(task_rows(scores(index), rows, index)))
            for index, task in enumerate(self.tasks)
        }

    def _metrics(self, scored: Sequence[Scored], test: Batch) -> dict[str, Any]:
        """Return the content of metrics.json."""
        student, valid = scored[-1], self.rows.valid
        return {
            "validation": student.predictor.evaluate_batch(valid, scores_of(student.valid, self.tasks)),
            "test": student.predictor.evaluate_batch(test, scores_of(student.test, self.tasks)),
            "rows": self.source.source.num_rows,
            **costs_of(student.predictor, valid, self.source.source),
            "preset": self.measured.get("preset"), "seed": self.recorded.seed, "ensemble": None,
            "peak_memory_bytes": peak_memory_bytes(), "findings": self.measured.get("findings"),
            "table": self.measured.get("table"),
            "waterfall": {"steps": self._steps(scored, test)},
        }  # fmt: skip

    def _steps(self, scored: Sequence[Scored], test: Batch) -> list[dict[str, Any]]:
        """Return the steps of the fit, and what distillation takes from the ensemble."""
        what = f"one network, {self.spec.name}, learns the ensemble's scores"
        pair = [(ENSEMBLE, "", scored[0].test), ("distillation", what, scored[-1].test)]
        before, last = waterfall(pair, test, self.tasks, self.recorded.seed)["steps"]
        return [*(self.measured.get("waterfall") or {"steps": [before]})["steps"], last]

    def _curves(self, student: Scored, test: Batch) -> dict[str, Any]:
        """Return the content of curves.json."""
        rows = self.rows.valid.for_layout(student.predictor.encoder.layout)
        parts = {"train": self.rows.train, "validation": self.rows.valid, "test": test}
        return {
            "gates": mean_gate_weights(student.predictor.network, rows),
            "labels": {name: label_summary(part, self.tasks) for name, part in parts.items()},
            "tasks": task_curves(scores_of(student.test, self.tasks), test, self.tasks),
        }

    def _settings(self) -> dict[str, Any]:
        """Return the content of settings.json: that of the run, but of one model."""
        recorded = self.recorded
        own = replace(recorded.settings, model=self.spec.model, ensemble=False).to_dict()
        return own | {"seed": recorded.seed} | ({"table": dict(recorded.table)} if recorded.table else {})


def kept_shares(rows: Sequence[Mapping[str, Any]], tasks: Sequence[Task]) -> dict[str, Any]:
    """Return by part of the rows and task which share of the ensemble's gain over the network a distilled one keeps.

    rows: of the leaderboard of a distillation. Nothing of a task where the ensemble is no better than the network, or
    where there is no network to hold it against.
    """
    found: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    if len(rows) < 3:
        return found
    for part, shares in found.items():
        for task in tasks:
            values = [row[part][task.name] for row in rows]
            if not all(isinstance(value, float) for value in values):
                continue
            ensemble, single, distilled = values
            whole, kept = (primary_metric(task).gain(one, single) for one in (ensemble, distilled))
            if whole > 0:
                shares[task.name] = kept / whole
    return found
