"""Train a saved model again on new rows, and take it only if it is not worse than the present one. N rows, T tasks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from automtl.config import Settings
from automtl.dataset.prepared import is_prepared
from automtl.dataset.store import data_loader
from automtl.ensemble.ensemble import Ensemble, trees_of
from automtl.ensemble.spec import MemberSpec
from automtl.errors import FileError, SettingsError
from automtl.experiment.acceptance import Acceptance, base_logits, judge, recorded_skills
from automtl.experiment.all_rows import AllRowsTraining, all_rows_row
from automtl.experiment.costs import costs_of, note_seconds
from automtl.experiment.fit import Run
from automtl.experiment.inputs import EncodedSource
from automtl.experiment.library import TRAINING, Library, TrainedModel
from automtl.experiment.provenance import describe_making, describe_table
from automtl.experiment.recorded import RecordedFit
from automtl.experiment.source import TableSource, open_source
from automtl.experiment.warm_start import start_from
from automtl.experiment.waterfall import waterfall
from automtl.features.batch import Batch
from automtl.features.continued_histories import ContinuedHistories
from automtl.models.network import mean_gate_weights
from automtl.predictor import Predictor
from automtl.system.deadline import Deadline, ending
from automtl.system.files import json_bytes, read_json, write_whole
from automtl.system.manifest import MANIFEST, MODEL
from automtl.system.memory import keep_freed_memory, peak_memory_bytes
from automtl.system.progress import Callback, Notice, ignore
from automtl.system.signature import is_signed
from automtl.system.stopwatch import measured, timed
from automtl.system.trust import names_of_folder
from automtl.tables.columns import ColumnRoles
from automtl.tables.quality import Findings
from automtl.tables.schema import Schema
from automtl.training.curves import label_summary, task_curves
from automtl.training.evaluation import predict_logits, scores_of
from automtl.training.fit import SelfTrained, fit

PRESENT, REFIT = "present model", "refitted model"
REFUSALS = "refits.json"  # of a model's folder: the refitted models that were not taken


@dataclass(frozen=True)
class Refit:
    """A finished refit: its run, the comparison with the present model, and whether and where it was taken."""

    run: Run
    acceptance: Acceptance
    taken: bool
    folder: Path


@keep_freed_memory()
@measured()
def refit_model(
    folder: Path | str, source: Any, *, warm: bool = False, if_better: bool = False, out: Path | str | None = None,
    overwrite: bool = False, callback: Callback = ignore,
) -> Refit:  # fmt: skip
    """Train the models of a saved run on a new table, with the same settings, and compare the result with it.

    `warm`: networks start from the present weights, and ids that the present model knows stay known. With a time column
    the rows are split by time, so that the newest ones are the test rows on which both are compared; else they are
    split as those of the run were. Histories go on from the model's state if all rows are later, or else are of the new
    table alone. The result takes the model's place, or goes to the folder `out`; `if_better`: only where it is accepted
    (`Acceptance`), else that is written down in the model's folder (`refits.json`), which is not changed otherwise.
    Raises SettingsError for a prepared table, FileError for a model that changed meanwhile.

    >>> log = automtl.synthetic_log(rows=800, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> settings = automtl.read_settings(None, quick)
    >>> run = automtl.fit_table(log[:400], ["click"], settings=settings, out="runs/today")
    >>> automtl.refit_model("runs/today", log[400:], warm=True, out="runs/tomorrow").taken
    True
    """
    folder = Path(folder)
    target, overwrite = (folder, True) if out is None else (Path(out), overwrite)
    MODEL.require_free(target, overwrite)
    present, recorded = Predictor.load(folder), RecordedFit.read(folder)
    version, refused = (folder / MANIFEST).read_bytes(), read_refusals(folder)
    rows, settings = open_rows(source, present, recorded, warm=warm)
    callback(Findings(rows.findings(recorded.seed)))
    with data_loader(settings.data_loader, target) as loader, ending(Deadline(settings.budget.time_limit)) as deadline:
        refitting = Refitting(present, recorded, settings, EncodedSource(rows, loader), warm, callback)
        with names_of_folder():  # settings and models of the run are data, too
            run, acceptance = refitting.run()
    taken = acceptance.accepted or not if_better
    lineage = refitting.lineage() | {"table": describe_table(source, rows), "taken": taken}
    run.settings["table"] = lineage["table"]
    run.metrics.update(ended_early=deadline.passed, made=describe_making())
    note_seconds(run.metrics)
    if not taken:
        note_refusal(folder, [*refused, lineage | {"comparison": acceptance.to_dict()}], callback)
        return Refit(run, acceptance, False, folder)
    if (folder / MANIFEST).read_bytes() != version:
        raise FileError(f"the model in '{folder}' was changed while it was refitted; refit it again")
    run.history["refit"] = lineage | {"refused": refused}
    return Refit(run.save(target, overwrite=overwrite), acceptance, True, target)


def open_rows(source: Any, present: Predictor, recorded: RecordedFit, *, warm: bool) -> tuple[TableSource, Settings]:
    """Open a new table as the one of the run was, split by time where there is a time column."""
    if is_prepared(source):
        raise SettingsError("a refit compares both models on rows as they are; give the table, not a prepared one")
    schema, settings = present.schema, recorded.settings
    if schema.time is not None:
        schema, settings = replace(schema, split=None), replace(settings, split=replace(settings.split, method="time"))
    rows, settings = open_source(source, (), ColumnRoles(), schema, settings, recorded.seed, identify=True)
    assert isinstance(rows, TableSource)
    histories, continued = present.encoder.histories, None
    if histories is not None and histories.plan.keys and ContinuedHistories.fits(histories, rows.rows):
        continued = ContinuedHistories(histories, rows.rows, present.encoder.vocabularies)
    rows = replace(rows, dropped=tuple(recorded.table.get("dropped") or ()), continued=continued)
    return replace(rows, vocabularies=present.encoder.vocabularies if warm else None), settings


class Refitting:
    """The steps of a refit: train the models of a run on new rows, select the ensemble, compare it with the present."""

    def __init__(
        self, present: Predictor, recorded: RecordedFit, settings: Settings, source: EncodedSource, warm: bool,
        callback: Callback = ignore,
    ) -> None:  # fmt: skip
        assert isinstance(source.source, TableSource)
        self.present, self.recorded, self.settings, self.warm = present, recorded, settings, warm
        self.source, self.table, self.callback = source, source.source, callback
        self.rows = source.anew(present.encoder, settings.encoder)
        self.schema: Schema = self.rows.encoder.schema
        self.tasks, self.seed = self.schema.tasks, recorded.seed
        self.on_all_rows: dict[str, Any] | None = None
        self.seconds_on_all_rows = 0.0
        self.library = Library(self.rows.encoder, self.rows.valid, settings.selection, self.seed, callback)

    def run(self) -> tuple[Run, Acceptance]:
        """Train, select and test, and compare with the present model."""
        network = self.present.network
        models = list(network.members) if isinstance(network, Ensemble) else [network]
        for spec, earlier in zip(self.present.spec.members, models, strict=True):
            self.library.add(self._trained(spec, earlier))
        predictor = self.library.predictor()
        if self.settings.train_on_all_rows:
            again, start = AllRowsTraining(self.rows, self.seed, self.callback), time.perf_counter()
            chosen = [self.library.models[place] for place in self.library.selected]
            predictor, self.on_all_rows = again.predictor(predictor, chosen)
            self.seconds_on_all_rows = time.perf_counter() - start
        test = self.source.test(self.rows)
        logits = self.library.tested(test)
        rows = {"train": self.rows.train, "valid": self.rows.valid, "test": test}
        coverage = {name: one.coverage for name, one in rows.items() if one.coverage is not None}
        unseen = [test] if self._saw_all_rows else [self.rows.valid, test]
        predictor = replace(predictor, at_fit=coverage).profiled(self.rows.train, unseen)
        present, refit = self.present_logits(), predict_logits(
            predictor.network, test.for_layout(predictor.encoder.layout)
        )  # fmt: skip
        metrics = self.recorded.part("metrics")
        skills = recorded_skills(metrics["test"], self.recorded.part("curves")["labels"], self.tasks)
        steps = waterfall([(PRESENT, "", present), (REFIT, "on the new rows", refit)], test, self.tasks, self.seed)
        base = base_logits(self.rows.train, self.tasks)
        acceptance = judge(present, refit, base, test, self.tasks, self.seed, skills, steps["steps"])
        return self._described(predictor, test, logits, refit, steps, acceptance, metrics), acceptance

    @property
    def _saw_all_rows(self) -> bool:
        """Tell whether some model was trained on validation rows, too."""
        return self.on_all_rows is not None and any(self.on_all_rows["models"].values())

    def _mixed(self, logits: Sequence[Tensor]) -> Tensor:
        return self.library.mixed(logits) if len(self.library.selected) > 1 else logits[self.library.selected[0]]

    def _trained(self, spec: MemberSpec, earlier: nn.Module) -> TrainedModel:
        """Train a model of the run on the new rows."""
        own, row = spec.encoder(self.rows.encoder), self.recorded.recorded_row(spec.name)
        layout = own.layout
        train, valid = (part.for_layout(layout) for part in (self.rows.train, self.rows.valid))
        model = spec.build(self.rows.encoder, self.seed)
        for one in trees_of(model):
            one.settings = self.recorded.trees_of(spec.name)
        start = None
        if self.warm and not isinstance(model, SelfTrained):
            before = spec.encoder(self.present.encoder)
            start = partial(start_from, inputs=own, earlier=earlier, earlier_inputs=before)
            start(model)
        training = self.recorded.training_of(spec.name)
        with timed("training"):
            result = fit(model, train, valid, self.tasks, training, self.seed, self.callback, f"training {spec.name}")
        stage, changed = row.get("stage", TRAINING), dict(row.get("settings") or {})
        return TrainedModel(
            spec, model, result, predict_logits(model, valid), stage, changed, training, self.seed, start
        )  # fmt: skip

    def present_logits(self) -> Tensor:
        """Return the present model's logits (N, T) of the test rows, whose histories it knows as the new one does."""
        encoder, test = self.present.encoder, self.table.split.test
        if encoder.histories is None or encoder.histories.plan.frozen:
            batch = encoder.encode(test)
        elif self.table.continued is not None:
            own = replace(self.table.continued, _found={})
            later = slice(self.table.rows.height - test.height, None)
            batch = encoder.encode(test, history=own.inputs(encoder.vocabularies, later))
        else:
            batch = self.present.encode(test, self.table.rows)
        return predict_logits(self.present.network, batch)

    def lineage(self) -> dict[str, Any]:
        """Describe in plain values where the refitted model comes from."""
        folder = self.recorded.folder
        before = self.recorded.part("history").get("refit") or {}
        return {
            "from": str(folder.absolute()), "from_table": dict(self.recorded.table), "warm": self.warm,
            "number": int(before.get("number", 0)) + 1, "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": self.table.num_rows, "period": self.table.period(), "continued": self.table.continued is not None,
            "before": {name: value for name, value in before.items() if name != "refused"} or None,
        }  # fmt: skip

    def _described(
        self, predictor: Predictor, test: Batch, logits: Sequence[Tensor], refit: Tensor, steps: dict[str, Any],
        acceptance: Acceptance, before: dict[str, Any],
    ) -> Run:  # fmt: skip
        """Describe the run in the plain values of its folder."""
        valid, tasks, library = self.rows.valid, self.tasks, self.library
        of_valid, of_test = (scores_of(one, tasks) for one in (self._mixed([m.logits for m in library.models]), refit))
        several, board = isinstance(predictor.network, Ensemble), library.leaderboard(test, logits)
        metrics = {
            "validation": predictor.evaluate_batch(valid, of_valid), "test": predictor.evaluate_batch(test, of_test),
            "rows": self.table.num_rows, **costs_of(predictor, valid, self.table, board),
            "preset": before.get("preset"), "seed": self.seed,
            "ensemble": {"weights": library.shares(), "missing": None} if several else None,
            "peak_memory_bytes": peak_memory_bytes(),
            "findings": [one.to_dict() for one in self.table.findings(self.seed)], "waterfall": steps,
            "refit": acceptance.to_dict(), "table": self.table.summary(),
        }  # fmt: skip
        shown = library.models[library.selected[0]]
        earlier = self.recorded.part("history")
        if self._saw_all_rows:
            board.insert(0, all_rows_row(board[0], library.metrics(refit, test), self.seconds_on_all_rows))
        history = {
            "presets": earlier.get("presets", []), "search": None, "histories": earlier.get("histories"),
            "training": {
                "best": shown.result.best, "evaluations": [one.to_dict() for one in shown.result.evaluations]
            },
            "leaderboard": board, "all_rows": self.on_all_rows,
        }  # fmt: skip
        parts = {"train": self.rows.train, "validation": valid, "test": test}
        layout = library.encoder_of(shown).layout
        curves = {
            "gates": mean_gate_weights(shown.model, valid.for_layout(layout)),
            "labels": {name: label_summary(part, tasks) for name, part in parts.items()},
            "tasks": task_curves(of_test, test, tasks),
        }
        return Run(predictor, metrics, history, curves, self.settings.to_dict() | {"seed": self.seed})


def read_refusals(folder: Path) -> list[dict[str, Any]]:
    """Read which refitted models were not taken since the model was written, the oldest first."""
    path = folder / REFUSALS
    found = read_json(path, "remove it") if path.is_file() else []
    if not isinstance(found, list):
        raise FileError(f"'{path}' holds no list of refits; remove it")
    return found


def note_refusal(folder: Path, refused: list[dict[str, Any]], callback: Callback) -> None:
    """Write down the refitted models that were not taken, or tell that this cannot be done, as in a read-only folder.

    The file is no part of the model, whose own files stay; a signed folder holds nothing else.
    """
    if is_signed(folder):
        callback(Notice(f"that the refitted model was not taken is not written down, since '{folder}' is signed"))
        return
    try:
        write_whole(folder / REFUSALS, json_bytes(refused))
    except FileError as error:
        callback(Notice(f"that the refitted model was not taken is not written down: {error}"))
