"""The trials of a comparison: a search, a training judged on validation rows, a training tested on test rows."""

from __future__ import annotations

import math
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from automtl.comparison.process_pool import Failure, alive
from automtl.comparison.result_store import Result, ResultStore, digest
from automtl.config import Settings
from automtl.dataset.settings import DataLoaderSettings
from automtl.dataset.store import DataLoader
from automtl.errors import AutomtlError, ComparisonError
from automtl.experiment import EncodedSource, Experiment
from automtl.experiment.source import open_again
from automtl.features.batch import Batch
from automtl.features.layout import label_type
from automtl.models.registry import check_model
from automtl.space import Architecture
from automtl.system.deadline import Deadline, ending
from automtl.system.memory import forget_peak, peak_memory_bytes
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings

# Settings that no result depends on: they say where files go.
IRRELEVANT = dict.fromkeys(("data_loader", "trackers", "tracker_folder", "tracking_uri"))


class Kind(StrEnum):
    """The kind of a trial's result: an architecture, a score on validation rows, or metrics on test rows."""

    SEARCH = "search"
    TUNING = "tuning"
    TEST = "test"


@dataclass(frozen=True)
class Trial:
    """All that a result depends on besides the table. `settings` have one preset and the values that are tried.

    `architecture`: plain values of the architecture to train, for a searched model. `candidate`: a name for people;
    trials that differ only in it are equal.
    """

    kind: Kind
    settings: Settings
    seed: int
    architecture: Result | None = None
    candidate: str = field(default="", compare=False)

    @cached_property
    def name(self) -> str:
        """Name of the files that hold this trial's result."""
        settings = self.settings.to_dict() | IRRELEVANT
        if self.kind is not Kind.TEST:
            settings["ensemble"] = None  # an ensemble is made only of the final network,
            settings["train_on_all_rows"] = None  # and only it is trained on all rows
        return f"{self.kind}-{digest([self.kind, settings, self.seed, self.architecture])}"

    @property
    def label(self) -> str:
        """Candidate, kind and seed, for people."""
        return f"{self.candidate} {self.kind} {self.seed}"


@dataclass(frozen=True)
class WorkerContext:
    """The values that every process of a comparison needs. `source`: a path, or a data frame."""

    source: Any
    table_digest: str
    schema: Schema
    split: SplitSettings
    split_seed: int
    store: ResultStore


@dataclass(frozen=True)
class WorkerState:
    """The state of one process between trials: its rows, encoded for the next trial that needs them."""

    context: WorkerContext
    loader: DataLoader

    @cached_property
    def source(self) -> EncodedSource:
        """The rows of the table. Raises ComparisonError if it is not the one that the comparison began with."""
        context = self.context
        found = open_again(context.source, context.schema, context.split, context.split_seed)
        if found.digest != context.table_digest:
            raise ComparisonError(f"'{context.source}' has changed while it was compared; start again")
        return EncodedSource(found, self.loader, num_kept=None)

    def run(self, trial: Trial) -> None:
        """Run a trial and write its result."""
        check_model(trial.settings.model, self.context.schema.tasks)
        forget_peak()
        start = time.perf_counter()
        architecture = None if trial.architecture is None else Architecture.from_dict(trial.architecture)
        experiment = Experiment(
            self.source, trial.settings, trial.seed, lambda event: alive(), architecture=architecture
        )
        scores = None
        if trial.kind is Kind.SEARCH:
            result = _search(experiment)
        elif trial.kind is Kind.TUNING:
            result = _train(experiment) | experiment.evaluate(["validation"])
        else:
            result, scores = _test(experiment), _scores(experiment)
            self.context.store.keep_rows(_row_arrays(experiment.test_rows))
        result |= {"peak_memory_bytes": peak_memory_bytes(), "trial_seconds": time.perf_counter() - start}
        self.context.store.put(trial.name, {"candidate": trial.candidate, "seed": trial.seed} | result, scores)


def _search(experiment: Experiment) -> Result:
    """Search; the seconds include the reference model, from whose embedding the search starts."""
    found, seconds = experiment.search(), experiment.seconds
    return {
        "architecture": found.architecture.to_dict(),
        "seconds": seconds["reference"] + seconds["search"],
        "history": found.history,
    }


def _train(experiment: Experiment) -> Result:
    """Train; return the score on validation rows and seconds. Raises ComparisonError where training diverged."""
    score = experiment.train().score
    if not math.isfinite(score):
        raise ComparisonError("its training diverged (the validation loss is not a number); try a lower learning rate")
    return {"score": score, "seconds": experiment.seconds["training"]}


def _test(experiment: Experiment) -> Result:
    """Train and test; return metrics and cost of the model, or of its ensemble where the settings want one."""
    experiment.boost()
    result = _train(experiment)
    experiment.ensemble()
    experiment.train_on_all_rows()
    own, found = experiment.seconds, experiment.predictor.spec.architecture
    return {
        "score": result["score"],
        "seconds": sum(own.values())
        if experiment.settings.tunes_itself
        else own["training"] + own["ensemble"] + own["all_rows"],
        "architecture": None if found is None else found.to_dict(),
        **experiment.evaluate(),
        "parameters": experiment.parameters,
        "flops_per_row": experiment.flops_per_row,
        "gates": experiment.gates,
        "ensemble": experiment.ensemble_summary(),
    }


def _scores(experiment: Experiment) -> np.ndarray:
    """Return the scores of the test rows, (N, T) float32, or float64 where some are quantities."""
    scores, tasks = experiment.scores["test"], experiment.source.schema.tasks
    return np.stack([scores(index).astype(label_type(tasks)) for index in range(len(tasks))], axis=1)


def _row_arrays(test: Batch) -> dict[str, np.ndarray]:
    """Return the arrays of the test rows that metrics need besides scores."""
    arrays = {"labels": test.labels, "mask": test.mask, "weight": test.weight}
    group = {} if test.group is None else {"group": test.group}
    return {name: tensor.numpy() for name, tensor in (arrays | group).items()}


_state: WorkerState | None = None  # the state of this process


def start_worker(context: WorkerContext, loader_settings: DataLoaderSettings, beside: Path) -> None:
    """Make the state of this process, once. Files of encoded rows go beside the path given."""
    global _state
    _state = WorkerState(context, DataLoader(loader_settings, beside, ExitStack()))


def run_trial(trial: Trial) -> Failure | None:
    """Run a trial in this process; its result is then in the store, or the failure says why there is none."""
    assert _state is not None
    try:
        with ending(Deadline(looked_at=alive)):
            _state.run(trial)
    except AutomtlError as error:
        return Failure(str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})")
    return None
