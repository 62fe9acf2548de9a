"""The jobs of a comparison: a search, a training judged on validation rows, a training tested on test rows."""

from __future__ import annotations

import math
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from automtl.comparison.process_pool import Failure
from automtl.comparison.result_store import Record, Records, digest
from automtl.config import Settings
from automtl.dataset.store import Feeder, FeedingSettings
from automtl.errors import AutomtlError, ComparisonError
from automtl.experiment.ensemble import blend_summary, blended
from automtl.experiment.input_selection import Prepared, prepare, train_reference
from automtl.experiment.pipeline import search_architecture
from automtl.experiment.source import Source, open_again
from automtl.features.batch import Batch
from automtl.features.encoder import EncoderSettings
from automtl.models.gates import mean_gate_weights
from automtl.models.network import count_parameters
from automtl.models.registry import check_model
from automtl.predictor import ModelSpec, Predictor
from automtl.space import Architecture
from automtl.system.memory import forget_peak, peak_memory_bytes
from automtl.system.progress import ignore
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings
from automtl.training.fit import SelfTrained, fit

FLOP_ROWS = 1024  # counted together
NO_MATTER = dict.fromkeys(("feeding", "trackers", "tracker_folder", "tracking_uri"))  # where files go


class Kind(StrEnum):
    """What a job gives: an architecture, a score on validation rows, metrics on test rows."""

    SEARCH = "search"
    TRIAL = "trial"
    TEST = "test"


@dataclass(frozen=True)
class Job:
    """All that decides the outcome, besides the table. `settings` have one variant: the inputs and tuned settings.

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
            settings["blended"] = None  # others come in when the network is trained and chosen
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

    def __init__(self, brief: Brief, feeder: Feeder) -> None:
        self.brief, self.feeder = brief, feeder
        self.kept: dict[EncoderSettings, Prepared] = {}

    @cached_property
    def source(self) -> Source:
        """Raises ComparisonError if the table is not the one that the comparison began with."""
        brief = self.brief
        found = open_again(brief.source, brief.schema, brief.split_settings, brief.split_seed)
        if found.digest != brief.table_digest:
            raise ComparisonError(f"'{brief.source}' has changed while it was compared; start again")
        return found

    def prepared(self, settings: Settings) -> Prepared:
        """Encoded rows and the settings of training, under the one variant of the settings."""
        (variant,) = settings.variants
        alike = replace(settings.encoder, **{**variant.encoder, "rates": True})
        found = prepare(self.source, settings, variant, self.feeder, self.kept.get(alike))
        self.kept[alike] = found
        return found

    def run(self, job: Job) -> None:
        """Do a job and write its record."""
        check_model(job.settings.model, self.brief.schema.tasks)
        forget_peak()
        start = time.perf_counter()
        prepared = self.prepared(job.settings)
        if job.kind is Kind.SEARCH:
            record, scores = _searched(job, prepared), None
        else:
            record, scores = self._trained(job, prepared)
        record |= {"peak_memory_bytes": peak_memory_bytes(), "job_seconds": time.perf_counter() - start}
        self.brief.records.put(job.name, {"model": job.model, "seed": job.seed} | record, scores)

    def _trained(self, job: Job, prepared: Prepared) -> tuple[Record, np.ndarray | None]:
        architecture = None if job.architecture is None else Architecture.from_dict(job.architecture)
        spec, schema = ModelSpec(job.settings.model, prepared.network, architecture), self.brief.schema
        network = spec.build(prepared.encoder, job.seed)
        result = fit(network, prepared.train, prepared.valid, schema.tasks, prepared.training, job.seed)
        if not math.isfinite(result.score):
            raise ComparisonError("its training diverged: the validation loss is no number; try a lower learning rate")
        start = time.perf_counter()
        if job.kind is Kind.TEST:
            model, spec, rows = blended(network, spec, prepared, job.settings, job.seed)
        else:
            model, rows = network, prepared.rows
        predictor = Predictor(schema, rows.encoder, spec, model)
        record = {
            "score": result.score,
            "seconds": result.seconds + time.perf_counter() - start,
            "validation": predictor.evaluate_batch(rows.valid),
        }
        if job.kind is Kind.TRIAL:
            return record, None
        test = self.source.test(rows.encoder, self.feeder, like=rows.train)
        scores = predictor.scores(test)
        self.brief.records.keep_rows(_judged_by(test))
        return record | {
            "test": predictor.evaluate_scores(scores, test),
            "parameters": count_parameters(model),
            "flops_per_row": flops_per_row(model, test),
            "gates": mean_gate_weights(network, prepared.valid),
            "blend": blend_summary(model, job.settings, schema),
        }, np.stack([scores(index).astype(np.float32) for index in range(len(schema.tasks))], axis=1)


def _searched(job: Job, prepared: Prepared) -> Record:
    """The architecture found, and the seconds it took with the reference model that lends its embedding."""
    start = time.perf_counter()
    if job.settings.search.uses_embedding:
        _, prepared = train_reference(prepared, job.settings.reference, job.seed)
    found = search_architecture(prepared, job.settings, job.seed, ignore)
    assert found is not None, "only searched models have search jobs"
    seconds = time.perf_counter() - start
    return {"architecture": found.architecture.to_dict(), "seconds": seconds, "history": found.history}


def _judged_by(test: Batch) -> dict[str, np.ndarray]:
    """What metrics need besides scores."""
    arrays = {"labels": test.labels, "mask": test.mask, "weight": test.weight}
    group = {} if test.group is None else {"group": test.group}
    return {name: tensor.numpy() for name, tensor in (arrays | group).items()}


@torch.inference_mode()
def flops_per_row(model: nn.Module, rows: Batch) -> int | None:
    """Of one prediction: two for every multiply-add of a product of matrices; None for trees, which have none."""
    if isinstance(model, SelfTrained):
        return None
    part = rows.take(slice(0, FLOP_ROWS))
    with FlopCounterMode(display=False) as counter:
        model(part.features)
    return round(int(counter.get_total_flops()) / len(part))


_workspace: Workspace | None = None  # of this process


def begin(brief: Brief, feeding_settings: FeedingSettings, beside: Path) -> None:
    """What a process does once. Files of encoded rows go beside the path given."""
    global _workspace
    _workspace = Workspace(brief, Feeder(feeding_settings, beside, ExitStack()))


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
