"""From a table to a trained, tested and saved model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from automtl._version import __version__
from automtl.config import Settings
from automtl.dataset.store import Feeder, feeding
from automtl.ensemble.trees import TreeModel
from automtl.errors import SettingsError, suggestion
from automtl.experiment.ensemble import blend_summary, blended
from automtl.experiment.input_selection import Prepared, choose_variant, trains_itself
from automtl.experiment.source import Roles, Source, open_source
from automtl.models.gates import mean_gate_weights
from automtl.models.network import Network, count_parameters
from automtl.models.registry import MODELS, check_model
from automtl.predictor import ModelSpec, Predictor, check_target
from automtl.report.folder import attempted, run_report
from automtl.report.run import RunValues
from automtl.search import STRATEGIES
from automtl.search.base import SearchProblem, SearchResult
from automtl.space import published_space
from automtl.system.memory import peak_memory_bytes
from automtl.system.progress import Callback, ignore
from automtl.tables.quality import Findings
from automtl.tables.schema import Schema
from automtl.trackers import Tracked, Trackers
from automtl.training.curves import label_summary, task_curves
from automtl.training.fit import FitResult, balancing_of, fit


@dataclass(frozen=True)
class Run:
    """A finished fit: the predictor and what the JSON files of its folder hold."""

    predictor: Predictor
    metrics: dict[str, Any]
    history: dict[str, Any]
    curves: dict[str, Any]
    settings: dict[str, Any]
    folder: Path | None = None

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Run:
        """Write the run folder, with its report. Raises ModelFolderError as `Predictor.save` does."""
        extras = {name: getattr(self, name) for name in ("settings", "metrics", "history", "curves")}
        model, schema = self.predictor.spec.to_dict(), self.predictor.schema.to_dict()
        values = RunValues(model=model, schema=schema, version=__version__, **extras)
        texts = attempted(lambda: run_report(values), "the model is")
        self.predictor.save(folder, extras, overwrite=overwrite, texts=texts)
        return replace(self, folder=Path(folder))


def fit_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    roles: Roles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    overwrite: bool = False,
    callback: Callback = ignore,
) -> Run:
    """Search, train and test a model for a table; write the run folder if `out` is given.

    `callback` gets `Findings` of the data checks before anything is trained, then `Progress`. The
    encoder sees training rows, every choice validation rows; test rows are encoded and read once, at the end.
    """
    settings, start = settings or Settings(), time.perf_counter()
    check_names(settings)
    if out is not None:
        check_target(Path(out), overwrite)
    rows, settings = open_source(source, tasks, roles or Roles(), schema, settings, seed)
    schema = rows.schema
    for model in {settings.model, settings.reference}:
        check_model(model, schema.tasks)
    published_space(settings.space, len(schema.tasks))  # raises what is wrong with it before anything is trained
    findings = rows.findings(seed)
    callback(Findings(findings))
    name = f"{settings.model}-{seed}" if out is None else Path(out).name
    tracked = Tracked(name, settings.to_dict() | {"seed": seed}, Path(settings.tracker_folder), settings.tracking_uri)
    with feeding(settings.feeding, out) as feeder, Trackers(settings.trackers, tracked, callback) as trackers:
        run = _fit(rows, settings, seed, feeder, trackers.callback)
        run.metrics["findings"] = [finding.to_dict() for finding in findings]
        run.metrics["seconds"]["total"] = time.perf_counter() - start
        found = run.predictor.spec.architecture
        trackers.finish(run.metrics, None if found is None else found.draw(schema.task_names))
    return run if out is None else run.save(out, overwrite=overwrite)


def _fit(source: Source, settings: Settings, seed: int, feeder: Feeder, callback: Callback) -> Run:
    schema = source.schema
    prepared, choice = choose_variant(source, settings, seed, feeder, callback)
    found = search_architecture(prepared, settings, seed, callback)
    spec = ModelSpec(settings.model, prepared.network, found.architecture if found else None)
    network = spec.build(prepared.encoder, seed)
    if settings.warm_start and found is not None:
        _start_from_supernet(network, found, settings)
    trained = fit(
        network,
        prepared.train,
        prepared.valid,
        schema.tasks,
        prepared.training,
        seed,
        callback,
        f"training {settings.model}",
    )
    gates, start = mean_gate_weights(network, prepared.valid), time.perf_counter()
    model, spec, rows = blended(network, spec, prepared, settings, seed, callback)
    seconds = {"search": found.seconds if found else 0.0, "training": trained.seconds}
    predictor = Predictor(schema, rows.encoder, spec, model)
    history = {"variants": choice, "search": found.history if found else None, "training": _checks(trained)}
    test = source.test(rows.encoder, feeder, like=rows.train)
    scores = predictor.scores(test)
    metrics = {
        "validation": predictor.evaluate_batch(rows.valid),
        "test": predictor.evaluate_scores(scores, test),
        "rows": source.num_rows,
        "parameters": count_parameters(model),
        "variant": prepared.variant,
        "seed": seed,
        "blend": blend_summary(model, settings, schema),
        "seconds": seconds | {"blend": time.perf_counter() - start},
        "peak_memory_bytes": peak_memory_bytes(),
    }
    parts = {"train": rows.train, "validation": rows.valid, "test": test}
    curves = {
        "gates": gates,
        "labels": {name: label_summary(rows, schema.tasks) for name, rows in parts.items()},
        "tasks": task_curves(scores, test, schema.tasks),
    }
    return Run(predictor, metrics, history, curves, settings.to_dict() | {"seed": seed})


def check_names(settings: Settings) -> None:
    """Raises SettingsError where a model is unknown."""
    for what, name, known in (
        ("model", settings.model, ("automtl", *MODELS)),
        ("reference", settings.reference, tuple(MODELS)),
    ):
        if name not in known:
            raise SettingsError(f"{what} '{name}' is unknown{suggestion(name, known)}; known: {', '.join(known)}")
    if settings.blended:
        TreeModel.check(())
        if trains_itself(settings.model):
            raise SettingsError(f"blended: '{settings.model}' is trees already; leave the setting out")
    balancing_of(settings.training, nn.Module(), torch.full((2,), 0.5))  # whether what it needs is installed


def search_architecture(prepared: Prepared, settings: Settings, seed: int, callback: Callback) -> SearchResult | None:
    """What the strategy of the settings finds; None for a published model."""
    if settings.model != "automtl":
        return None
    layout = prepared.encoder.layout
    space = published_space(settings.space, layout.num_tasks)
    problem = SearchProblem(
        space, layout, prepared.train, prepared.valid, prepared.network, prepared.training, prepared.embedding,
        settings.warm_start,
    )  # fmt: skip
    return STRATEGIES.find(settings.strategy)(settings.search).search(problem, seed, callback)


def _start_from_supernet(network: nn.Module, found: SearchResult, settings: Settings) -> None:
    if found.supernet is None:
        raise SettingsError(
            f"warm_start: strategy '{settings.strategy}' has no supernet to start from; set it to false"
        )
    assert isinstance(network, Network)
    found.supernet.lend(network)


def _checks(trained: FitResult) -> dict[str, Any]:
    return {"best": trained.best, "checks": [check.to_dict() for check in trained.checks]}
