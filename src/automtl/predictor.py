"""A predictor scores tables with a schema, encoder and network, which are saved in one folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
import torch
from torch import nn

from automtl.dataset.prepared import PreparedFolder, is_prepared
from automtl.dataset.settings import DataLoaderSettings
from automtl.dataset.store import data_loader
from automtl.ensemble.one_row import OneRow
from automtl.ensemble.saved_model import SavedModel
from automtl.ensemble.spec import ModelSpec
from automtl.errors import FileError, SettingsError
from automtl.features.batch import Batch
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.gaps import Gap, find_gaps, require_known_keys, warn_of_gaps
from automtl.features.histories import Histories
from automtl.features.row_encoder import RowEncoder
from automtl.system.hardware import device_of
from automtl.system.manifest import MODEL
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.signature import requiring
from automtl.system.trust import allowing, names_of_folder
from automtl.tables.schema import Schema, stage_names
from automtl.tables.table import read_table
from automtl.training.evaluation import predict_logits, scores_of
from automtl.training.metrics import (
    Scores,
    Value,
    evaluate,
    evaluate_stages,
    mtl_loss,
    plain,
    stage_scores,
)
from automtl.training.profile import Profile

Precision = Literal["full", "auto"]


@dataclass(frozen=True)
class Predictor:
    """Scores tables with a trained model.

    `precision`: of matrix products; 'auto' is bf16 where the machine has it. All else has full precision. `at_fit`: the
    coverage of the rows at fit, by part, with which that of other rows is compared. `profile`: how inputs and scores of
    the rows that were held out at fit are distributed; None of models that were not saved with one.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> run = automtl.fit_table(log, ["click"], settings=automtl.read_settings(None, quick), out="runs/predictor")
    >>> automtl.Predictor.load("runs/predictor").predict(log).equals(run.predictor.predict(log))
    True
    """

    schema: Schema
    encoder: Encoder
    spec: ModelSpec
    network: nn.Module
    precision: Precision = "full"
    at_fit: dict[str, Coverage] = field(default_factory=dict)
    profile: Profile | None = None

    def __post_init__(self) -> None:
        """Check the precision. Raises SettingsError."""
        if self.precision not in get_args(Precision):
            known = " and ".join(f"'{name}'" for name in get_args(Precision))
            raise SettingsError(f"precision '{self.precision}' is unknown; there are {known}")

    def __repr__(self) -> str:
        """Name the tasks and the models; the parts are long."""
        members = [member.name for member in self.spec.members]
        return f"Predictor(tasks={list(self.schema.task_names)}, models={members})"

    def predict(self, source: Any, *, history: Any = None, allow_unknown: bool = False) -> pl.DataFrame:
        """Score a table: one column for each task, in row order, of probabilities (binary) or values (regression).

        For a funnel, columns of CTR, CVR and CTCVR follow. `history`: a log, from which all histories come, point in
        time, so that past rows are scored as they would have been then; without it, histories continue the model's
        state, with the table's own earlier rows where it has labels. Warns of columns that were known at fit and are
        unknown or missing in most rows; raises EncodingError where no id of a key column is known, unless
        `allow_unknown` is set, and for rows older than the state.
        """
        table = read_table(source)
        batch = self.encode(table, history, labels=False)
        self.compare_coverage(table, batch, allow_unknown)
        return pl.DataFrame(self.columns(batch))

    def predict_rows(self, rows: Sequence[Mapping[str, Any]], *, allow_unknown: bool = False) -> dict[str, np.ndarray]:
        """Score some rows, such as those of a request: the columns of `predict` by name, (B,) float64 each.

        Each row is a mapping from the names of columns to values of Python. Scores, warnings and errors are those of
        `predict` for these rows, in less time.

        >>> predictor = automtl.Predictor.load("runs/predictor")
        >>> rows = automtl.synthetic_log(rows=2, seed=0).to_dicts()
        >>> predictor.predict_rows(rows)["click"].tolist() == predictor.predict(rows)["click"].to_list()
        True
        """
        batch = self.encode_rows(rows)
        self.compare_coverage(rows, batch, allow_unknown)
        return self.columns(batch)

    def warm_up(self) -> None:
        """Do now what the first single rows would wait for; it takes seconds.

        Networks are traced for one row, which otherwise begins in another thread once 32 single rows were scored.
        """
        batch = self.encode_rows([dict.fromkeys(self.row_encoder.used)])
        if self._is_plain:
            self.one_row.trace(batch.features)

    @property
    def _is_plain(self) -> bool:
        """Tell whether the network runs as it stands: in full precision, on the processor, for prediction."""
        plain = self.precision == "full" and not self.network.training and not torch.is_autocast_enabled("cpu")
        return plain and device_of(self.network).type == "cpu"

    @cached_property
    def one_row(self) -> OneRow:
        """The network for single rows."""
        return OneRow(self.network)

    def encode_rows(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Encode rows for `predict_rows`; the batch counts missing and unknown values as its `coverage`."""
        return self.row_encoder.encode(rows)

    @cached_property
    def row_encoder(self) -> RowEncoder:
        """The encoder of `encode_rows`, which remembers what single values mean."""
        return RowEncoder(self.encoder)

    def with_histories(self, histories: Histories) -> Predictor:
        """Return the predictor with the same histories after other events; what it made for single rows stays."""
        encoder = replace(self.encoder, histories=histories)
        found = replace(self, encoder=encoder)
        found.__dict__.update(row_encoder=self.row_encoder.of(encoder), one_row=self.one_row)
        return found

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the columns of scores: the tasks, then the stages of a funnel."""
        return (*self.schema.task_names, *stage_names(self.schema.tasks))

    def columns(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the columns of `predict` for encoded rows, (N,) each: tasks, then the stages of a funnel."""
        scores = self._scores_of_row(batch) if len(batch) == 1 and self._is_plain else self.scores(batch)
        tasks = {task.name: scores(index) for index, task in enumerate(self.schema.tasks)}
        return tasks | stage_scores(scores, self.schema.tasks)

    def encode(self, table: pl.DataFrame, history: Any = None, *, labels: bool = True) -> Batch:
        """Encode a table, with the histories that `predict` describes. Raises SettingsError where there are none."""
        if history is None:
            return self.encoder.encode(table, labels=labels)
        if self.encoder.histories is None:
            raise SettingsError("the model was fitted without histories; leave the log of histories out")
        known = self.encoder.histories.replayed(table, read_table(history), self.encoder.vocabularies)
        return self.encoder.encode(table, labels=labels, history=known)

    def coverage(self, source: Any, history: Any = None) -> Coverage:
        """Count the missing and unknown values of each field in a table."""
        return self.encode(read_table(source), history, labels=False).coverage or Coverage()

    def compare_coverage(self, source: Any, batch: Batch, allow_unknown: bool) -> tuple[Gap, ...]:
        """Warn of columns of new rows that are less known than at fit, and return them; see `predict` for errors."""
        coverage = batch.coverage or Coverage()
        gaps = find_gaps(self.schema, coverage, self.at_fit)
        if gaps and not allow_unknown:
            require_known_keys(gaps, self.encoder, coverage, read_table(source))
        warn_of_gaps(gaps)
        return gaps

    def _scores_of_row(self, batch: Batch) -> Scores:
        """Compute what `scores` does of one row, in less time."""
        with torch.inference_mode():
            return self._finite(scores_of(self.one_row(batch.features).float(), self.schema.tasks))

    def _finite(self, scores: Scores) -> Scores:
        """Return scores that raise FileError, with the task's name, where they are no finite numbers."""

        def checked(index: int) -> np.ndarray:
            found = scores(index)
            if not np.isfinite(found).all():
                raise FileError(
                    f"the model's scores of task '{self.schema.tasks[index].name}' are no finite numbers for some "
                    f"rows: its weights are damaged; {MODEL.remedy}"
                )
            return found

        return checked

    def evaluate(
        self, source: Any, *, history: Any = None, allow_unknown: bool = False, callback: Callback = ignore
    ) -> dict[str, Any]:
        """Return metrics by task and the MTL-Loss on a labelled table, or on the test rows of a prepared one.

        `history` is that of `predict`. Columns that `predict` warns of are listed as `gaps`. Raises FileError if the
        prepared table was encoded by another encoder, and EncodingError as `predict` does.
        """
        if is_prepared(source):
            folder = PreparedFolder.open(source)
            folder.require_encoder(self.encoder)
            with data_loader(DataLoaderSettings()) as loader:
                return self.evaluate_batch(folder.rows_of(self.encoder, "test", loader))
        callback(Progress("evaluating: reading the table", 0, 3))
        table = read_table(source)
        callback(Progress("evaluating: encoding", 1, 3))
        batch = self.encode(table, history)
        gaps = [asdict(gap) for gap in self.compare_coverage(table, batch, allow_unknown)]
        callback(Progress("evaluating: scoring", 2, 3))
        return self.evaluate_batch(batch) | ({"gaps": gaps} if gaps else {})

    def scores(self, batch: Batch) -> Scores:
        """Compute probabilities or values of encoded rows; they raise FileError where they are not finite."""
        return self._finite(scores_of(predict_logits(self.network, batch, self.precision), self.schema.tasks))

    def evaluate_batch(self, batch: Batch, scores: Scores | None = None) -> dict[str, Any]:
        """Return metrics on encoded rows, like `evaluate`. `scores`: those of the rows, if they are known."""
        scores, tasks = scores or self.scores(batch), self.schema.tasks
        found = evaluate(scores, batch, tasks)
        metrics = {"tasks": _plain_tasks(found), "mtl_loss": plain(mtl_loss(found, tasks))}
        stages = evaluate_stages(scores, batch, tasks)
        return metrics | {"funnel": _plain_tasks(stages)} if stages else metrics

    def profiled(self, train: Batch, held_out: Sequence[Batch], scores: Sequence[Scores] | None = None) -> Predictor:
        """Return the predictor with the profile of held-out rows; `scores`: those of the rows, if they are known."""
        layout = self.encoder.layout
        rows = [one.for_layout(layout) for one in held_out]
        known = scores or [self.scores(one) for one in rows]
        found = Profile.fit(self.encoder, train.for_layout(layout), list(zip(rows, known, strict=True)))
        return replace(self, profile=found)

    def save(
        self,
        folder: Path | str,
        extras: dict[str, Any] | None = None,
        *,
        overwrite: bool = False,
        texts: dict[str, str] | None = None,
    ) -> None:
        """Write the folder completely or not at all. `extras`: values of JSON files; `texts`: texts of files, by name.

        Raises FileError if the folder is not empty, unless `overwrite` is set and it holds a saved model. Warns where
        that was signed.
        """
        saved = SavedModel(self.schema, self.encoder, self.spec, self.network, self.at_fit, self.profile)
        saved.write(Path(folder), extras, overwrite=overwrite, texts=texts)

    @staticmethod
    def load(
        folder: Path | str,
        precision: Precision = "full",
        *,
        allow: Collection[str] = (),
        key: Path | str | None = None,
    ) -> Predictor:
        """Read and verify a folder, which is data: it imports no code but that of the packages in `allow`.

        `key`: a key file, by which the folder must be signed (`automtl sign`). Raises FileError that says what is wrong
        with the folder, SettingsError for `precision` or a file that holds no key.
        """
        with allowing(allow), requiring(key), names_of_folder():
            found = SavedModel.read(Path(folder))
        return Predictor(
            found.schema, found.encoder, found.spec, found.network, precision, found.at_fit, found.profile
        )  # fmt: skip


def _plain_tasks(found: dict[str, dict[str, Value]]) -> dict[str, Any]:
    return {task: {name: plain(value) for name, value in values.items()} for task, values in found.items()}
