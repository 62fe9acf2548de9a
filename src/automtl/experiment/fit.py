"""Fit a model: from a table to a trained, tested and saved model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from automtl._version import __version__
from automtl.config import Settings
from automtl.dataset.store import data_loader
from automtl.ensemble.saved_model import read_part
from automtl.ensemble.trees import TreeModel
from automtl.errors import SettingsError
from automtl.experiment.all_rows import ALL_ROWS_SHARE
from automtl.experiment.baselines import baselines_tested
from automtl.experiment.costs import costs_of, note_report, note_seconds
from automtl.experiment.experiment import Experiment
from automtl.experiment.inputs import EncodedSource, is_self_trained
from automtl.experiment.label_delays import Curve, freshness_curve, has_histories
from automtl.experiment.provenance import describe_making, describe_table
from automtl.experiment.source import Source, TableSource, open_source, tell_source
from automtl.experiment.unfinished import identity, numbers_of_workers, recorded, was_done, was_stopped
from automtl.models.registry import EVERY_MODEL, MODELS, check_model
from automtl.predictor import Predictor
from automtl.report.card_pages import CARD, card_markdown
from automtl.report.folder import attempted, run_report
from automtl.report.run import RunValues
from automtl.report.text import delay_line
from automtl.space import make_space
from automtl.system.deadline import Deadline, current_deadline, ending
from automtl.system.journal import Journal
from automtl.system.manifest import MODEL
from automtl.system.memory import keep_freed_memory, peak_memory_bytes
from automtl.system.progress import Callback, Notice, ignore
from automtl.system.stopwatch import current_stopwatch, measured, timed
from automtl.system.workers import all_wait, first_does, together, workers
from automtl.tables.columns import ColumnRoles
from automtl.tables.quality import Findings
from automtl.tables.schema import Schema
from automtl.trackers import Tracked, Trackers
from automtl.training.balancing import find_balancing
from automtl.training.curves import label_summary, task_curves

PARTS = ("metrics", "history", "curves", "settings")  # of a run, as JSON files of its folder
REPORT_SHARE = 1 / 3  # of a time limit, at most, for the scores of the test rows and the report


@dataclass(frozen=True)
class Run:
    """A finished fit: the predictor, and the content of the JSON files of its folder."""

    predictor: Predictor
    metrics: dict[str, Any]
    history: dict[str, Any]
    curves: dict[str, Any]
    settings: dict[str, Any]
    folder: Path | None = None

    def __repr__(self) -> str:
        """Name the tasks and the folder; the parts are long."""
        folder = None if self.folder is None else str(self.folder)
        return f"Run(tasks={list(self.predictor.schema.task_names)}, folder={folder!r})"

    @staticmethod
    def load(folder: Path | str) -> Run:
        """Read a run folder. Raises FileError as `Predictor.load` does."""
        folder = Path(folder)
        predictor = Predictor.load(folder)
        metrics, history, curves, settings = (read_part(folder, name) for name in PARTS)
        return Run(predictor, metrics, history, curves, settings, folder)

    @property
    def values(self) -> RunValues:
        """The run in the plain values that reports are made from."""
        model, schema = self.predictor.spec.to_dict(), self.predictor.schema.to_dict()
        extras = {name: getattr(self, name) for name in PARTS}
        return RunValues(model=model, schema=schema, version=__version__, **extras)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Run:
        """Write the run folder, with its report unless settings say otherwise. Raises FileError as `Predictor.save`."""
        values, extras = self.values, {name: getattr(self, name) for name in PARTS}
        kept = "the model is"
        wanted = self.settings.get("report", True)
        texts = attempted(lambda: run_report(values), kept) if wanted else {}
        note_report(self.metrics)
        texts |= attempted(lambda: card_markdown(values), kept, CARD)
        self.predictor.save(folder, extras, overwrite=overwrite, texts=texts)
        return replace(self, folder=Path(folder))


@keep_freed_memory()
@together()
@measured()
def fit_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    roles: ColumnRoles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    overwrite: bool = False,
    callback: Callback = ignore,
    deadline: Deadline | None = None,
) -> Run:
    """Search, train and test a model for a table; write the run folder if `out` is given.

    `callback` gets a `Notice` of histories and `Findings` of the data checks before anything is trained, then
    `Progress`. The encoder is fitted on training rows, choices are made on validation rows, and test rows are encoded
    and read once, at the end. Training ends at the time limit of the settings, or where a `deadline` is stopped, as by
    a signal handler: the model is then made of what was trained so far. In a process that is one of several workers
    (torchrun, Ray Train), all of which have to call it alike, they train together, and the first one writes.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> run = automtl.fit_table(log, ["click", "buy"], settings=automtl.read_settings(None, quick), seed=0)
    >>> sorted(run.metrics["test"]["tasks"])
    ['buy', 'click']
    """
    settings, first = settings or Settings(), workers().first
    callback = callback if first else ignore
    check_settings(settings)
    if out is not None and not was_stopped(Path(out)):
        MODEL.require_free(Path(out), overwrite)
    roles = roles or ColumnRoles()
    with timed("reading"):
        rows, settings = open_source(source, tasks, roles, schema, settings, seed, identify=out is not None)
    if out is not None:
        if was_done(Path(out), identity(settings, seed, rows.schema, rows.digest)):
            callback(Notice("this fit was stopped when all was done"))
            return Run.load(out)
        MODEL.require_free(Path(out), overwrite)
    tell_source(callback, rows, roles, schema)
    schema = rows.schema
    for model in {settings.model, settings.reference, *settings.baselines}:
        check_model(model, schema.tasks)
    make_space(settings.searched_space, len(schema.tasks))  # raises an error here, before anything is trained
    with timed("reading"):
        findings = rows.findings(seed)
    callback(Findings(findings))
    name = f"{settings.model}-{seed}" if out is None else Path(out).name
    tracked = Tracked(name, settings.to_dict() | {"seed": seed}, Path(settings.tracker_folder), settings.tracking_uri)
    given = deadline or Deadline(settings.budget.time_limit)
    record = nullcontext() if out is None else _record(Path(out), rows, settings, seed, given, callback, overwrite)
    with (
        record as journal,
        data_loader(settings.data_loader, out) as loader,
        Trackers(settings.trackers if first else (), tracked, callback) as trackers,
    ):
        earlier = 0.0 if journal is None else journal.earlier
        given.spend(earlier)
        if earlier and (watch := current_stopwatch()):
            watch.add("before it was stopped", earlier)
        encoded = EncodedSource(rows, loader, callback=trackers.callback)
        with ending(given):
            run = _run(Experiment(encoded, settings, seed, trackers.callback))
        run.settings["table"] = describe_table(source, rows)
        run.metrics["ended_early"] |= given.passed
        run.metrics["made"] = describe_making() | {"workers": numbers_of_workers(None if out is None else Path(out))}
        with timed("test"):
            _add_table(run, rows, callback)
        run.metrics["findings"] = [finding.to_dict() for finding in findings]
        note_seconds(run.metrics)
        found = run.predictor.spec.architecture
        trackers.finish(run.metrics, None if found is None else found.draw(schema.task_names))
        if out is not None:
            run = run.save(out, overwrite=overwrite) if first else replace(run, folder=Path(out))
            all_wait()
        return run


def _record(
    out: Path, rows: Source, settings: Settings, seed: int, deadline: Deadline, callback: Callback, overwrite: bool
) -> AbstractContextManager[Journal | None]:
    """Record the steps of a fit, from which it can go on."""
    what, every = identity(settings, seed, rows.schema, rows.digest), settings.budget.save_every
    return recorded(out, what, every, lambda: deadline.suspended, callback, overwrite=overwrite)


def _add_table(run: Run, rows: Source, callback: Callback) -> None:
    """Add to the metrics what a table in memory says of itself, and what faster labels would be worth."""
    run.metrics["table"] = rows.summary() if isinstance(rows, TableSource) else None
    if isinstance(rows, TableSource) and has_histories(run.predictor):
        run.metrics["freshness"] = first_does(lambda: freshness_curve(run.predictor, rows.split))
        _tell_delay(callback, rows.schema, run.metrics["freshness"])


def _tell_delay(callback: Callback, schema: Schema, curve: Curve) -> None:
    """Tell what labels that come after one hour would cost, where nothing was said of their delay."""
    line = delay_line(curve)
    if schema.history and schema.history.label_delay is None and line is not None:
        callback(Notice(line))


def _run(experiment: Experiment) -> Run:
    """Run all steps of an experiment."""
    _ = experiment.inputs
    current_deadline().reserve(REPORT_SHARE)
    share = 1 - ALL_ROWS_SHARE if experiment.settings.train_on_all_rows else 1.0
    with ending(current_deadline().part(share)) as deadline:
        experiment.boost()
        experiment.train()
        experiment.ensemble()
        experiment.train_baselines()
    experiment.train_on_all_rows()
    tested = experiment.evaluate()
    with timed("test"):
        return _described(experiment, tested, ended_early=deadline.passed)


def _described(experiment: Experiment, tested: dict[str, Any], *, ended_early: bool) -> Run:
    """Describe a tested model, and all others that were trained, in the plain values of a run folder."""
    source, settings, seed = experiment.source, experiment.settings, experiment.seed
    rows, test, tasks = experiment.rows, experiment.test_rows, source.schema.tasks
    metrics = {
        **tested,
        "rows": source.source.num_rows,
        "preset": experiment.inputs.preset,
        "seed": seed,
        "ensemble": experiment.ensemble_summary(),
        "peak_memory_bytes": peak_memory_bytes(),
        "ended_early": ended_early,
    }
    if settings.uses_ensemble:
        logits = experiment.library.tested(test)
        metrics["waterfall"] = experiment.judge_on_test_rows(logits)
        metrics["baselines"] = baselines_tested(experiment, logits)
    board = experiment.history.get("leaderboard", ())
    metrics |= costs_of(experiment.predictor, rows.valid, source.source, board)
    parts = {"train": rows.train, "validation": rows.valid, "test": test}
    curves = {
        "gates": experiment.gates,
        "labels": {name: label_summary(part, tasks) for name, part in parts.items()},
        "tasks": task_curves(experiment.scores["test"], test, tasks),
    }
    return Run(experiment.profiled, metrics, experiment.history, curves, settings.to_dict() | {"seed": seed})


def check_settings(settings: Settings) -> None:
    """Check names and requirements. Raises SettingsError if a name is unknown or a package is not installed."""
    EVERY_MODEL.find(settings.model)
    MODELS.find(settings.reference)
    for preset in settings.presets:
        preset.apply(settings)
    if settings.ensemble:
        TreeModel.check(())
        if is_self_trained(settings.model):
            raise SettingsError(f"ensemble: '{settings.model}' is trees already; leave the setting out")
    if settings.baselines and not settings.uses_ensemble:
        raise SettingsError("baselines: they stand beside an ensemble; leave them out, or use automtl compare")
    find_balancing(
        settings.training, nn.Module(), torch.full((2,), 0.5)
    )  # raises SettingsError if its package is not installed
