"""The jobs of a comparison: a search, a training judged on validation rows, a training tested on test rows."""

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

from automtl.comparison.process_pool import Failure
from automtl.comparison.result_store import Record, Records, digest
from automtl.config import Settings
from automtl.dataset.store import DataLoader, DataLoaderSettings
from automtl.errors import AutomtlError, ComparisonError
from automtl.experiment import EncodedSource, Experiment
from automtl.experiment.source import open_again
from automtl.features.batch import Batch
from automtl.models.registry import check_model
from automtl.space import Architecture
from automtl.system.memory import forget_peak, peak_memory_bytes
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings

NO_MATTER = dict.fromkeys(("data_loader", "trackers", "tracker_folder", "tracking_uri"))  # where files go


class Kind(StrEnum):
    """What a job gives: an architecture, a score on validation rows, metrics on test rows."""

    SEARCH = "search"
    TRIAL = "trial"
    TEST = "test"


@dataclass(frozen=True)
class Job:
    """All that decides the outcome, besides the table. `settings` have one preset: the inputs and tuned settings.

    `architecture`: of a searched model that is to be trained, as plain values. `model`: the contender's name, for
    people; jobs that do the same are the same.
    """

    kind: Kind
    settings: Settings
    seed: int
    architecture: Record | None = None
    model: str = field(default="", compare=False)

    @cached_property
    def name(self) -> str:
        """Of its record."""
        settings = self.settings.to_dict() | NO_MATTER
        if self.kind is not Kind.TEST:
            settings["ensemble"] = None  # others come in when the network is trained and chosen
        return f"{self.kind}-{digest([self.kind, settings, self.seed, self.architecture])}"

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.model} {self.kind} {self.seed}"


@dataclass(frozen=True)
class Brief:
    """What every process of a comparison knows. `source`: a path, or a data frame."""

    source: Any
    table_digest: str
    schema: Schema
    split_settings: SplitSettings
    split_seed: int
    records: Records


class Workspace:
    """The rows of one process; encoded rows are kept for the next job that wants them alike."""

    def __init__(self, brief: Brief, loader: DataLoader) -> None:
        self.brief, self.loader = brief, loader

    @cached_property
    def source(self) -> EncodedSource:
        """Raises ComparisonError if the table is not the one that the comparison began with."""
        brief = self.brief
        found = open_again(brief.source, brief.schema, brief.split_settings, brief.split_seed)
        if found.digest != brief.table_digest:
            raise ComparisonError(f"'{brief.source}' has changed while it was compared; start again")
        return EncodedSource(found, self.loader, num_kept=None)

    def run(self, job: Job) -> None:
        """Do a job and write its record."""
        check_model(job.settings.model, self.brief.schema.tasks)
        forget_peak()
        start = time.perf_counter()
        architecture = None if job.architecture is None else Architecture.from_dict(job.architecture)
        experiment = Experiment(self.source, job.settings, job.seed, architecture=architecture)
        record, scores = (_searched(experiment), None) if job.kind is Kind.SEARCH else self._trained(job, experiment)
        record |= {"peak_memory_bytes": peak_memory_bytes(), "job_seconds": time.perf_counter() - start}
        self.brief.records.put(job.name, {"model": job.model, "seed": job.seed} | record, scores)

    def _trained(self, job: Job, experiment: Experiment) -> tuple[Record, np.ndarray | None]:
        score, seconds = experiment.train().score, experiment.seconds
        if not math.isfinite(score):
            raise ComparisonError("its training diverged: the validation loss is no number; try a lower learning rate")
        if job.kind is Kind.TRIAL:
            return {"score": score, "seconds": seconds["training"], **experiment.evaluate(["validation"])}, None
        experiment.ensemble()
        record = {
            "score": score,
            **experiment.evaluate(),
            "seconds": seconds["training"] + seconds["ensemble"],
            "parameters": experiment.parameters,
            "flops_per_row": experiment.flops_per_row(),
            "gates": experiment.gates,
            "ensemble": experiment.ensemble_summary(),
        }
        self.brief.records.keep_rows(_judged_by(experiment.test_rows))
        tasks, scores = self.brief.schema.tasks, experiment.scores["test"]
        return record, np.stack([scores(index).astype(np.float32) for index in range(len(tasks))], axis=1)


def _searched(experiment: Experiment) -> Record:
    """The architecture found, and the seconds it took with the reference model whose embedding it starts from."""
    found, seconds = experiment.search(), experiment.seconds
    return {
        "architecture": found.architecture.to_dict(),
        "seconds": seconds["reference"] + seconds["search"],
        "history": found.history,
    }


def _judged_by(test: Batch) -> dict[str, np.ndarray]:
    """What metrics need besides scores."""
    arrays = {"labels": test.labels, "mask": test.mask, "weight": test.weight}
    group = {} if test.group is None else {"group": test.group}
    return {name: tensor.numpy() for name, tensor in (arrays | group).items()}


_workspace: Workspace | None = None  # of this process


def begin(brief: Brief, loader_settings: DataLoaderSettings, beside: Path) -> None:
    """What a process does once. Files of encoded rows go beside the path given."""
    global _workspace
    _workspace = Workspace(brief, DataLoader(loader_settings, beside, ExitStack()))


def run_job(job: Job) -> Failure | None:
    """A record, or why there is none."""
    assert _workspace is not None
    try:
        _workspace.run(job)
    except AutomtlError as error:
        return Failure(str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})")
    return None
