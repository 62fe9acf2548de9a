"""The rows that a model is made from: a table, or a prepared table, whose rows are encoded already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import polars as pl

from automtl.config import Settings, changed_values, checked_seed
from automtl.dataset.prepared import PreparedFolder, is_prepared
from automtl.dataset.store import DataLoader
from automtl.errors import SettingsError
from automtl.features.batch import Batch
from automtl.features.column_selection import select_inputs, without_sequences
from automtl.features.continued_histories import ContinuedHistories
from automtl.features.encoder import Encoder, with_histories
from automtl.features.histories import FittedHistories, HistoryInputs, fit_histories
from automtl.features.settings import EncoderSettings
from automtl.features.vocabulary import Vocabulary
from automtl.system.progress import Callback
from automtl.system.trust import names_of_folder
from automtl.tables.columns import ColumnRoles, check_columns, of_some_tasks, resolve_schema
from automtl.tables.history_text import tell_history
from automtl.tables.infer import check_labels
from automtl.tables.labels import check_weights
from automtl.tables.quality import Finding, check_quality
from automtl.tables.schema import Field, Schema, Task
from automtl.tables.split import Split, SplitSettings, split_table
from automtl.tables.table import read_table, table_digest
from automtl.training.metrics import check_metrics
from automtl.training.sampling import sample_negatives


class Source(Protocol):
    """Rows in three parts, to train, choose and test models. `digest`: of their content, or empty."""

    @property
    def schema(self) -> Schema: ...

    @property
    def digest(self) -> str: ...

    @property
    def num_rows(self) -> dict[str, int]:
        """Number of rows by part: train, validation, test."""

    def findings(self, seed: int) -> tuple[Finding, ...]:
        """Check the data. Raises SchemaError where there is nothing to learn."""

    def encode(self, settings: EncoderSettings, loader: DataLoader) -> tuple[Encoder, Batch, Batch]:
        """Fit an encoder of these settings, and encode training and validation rows."""

    def test(self, encoder: Encoder, loader: DataLoader, like: Batch) -> Batch:
        """Encode test rows. `like`: rows of the same width."""


@dataclass(frozen=True)
class TableSource:
    """A table that was split. `seed` draws the folds of target encoding and negatives.

    `dropped`: columns that are no inputs and that the checks of the data skip. `vocabularies`: earlier ones by field,
    whose values stay known. `continued`: the histories that go on over the rows, in place of new ones.
    """

    split: Split
    schema: Schema
    seed: int
    digest: str = ""
    dropped: tuple[str, ...] = ()
    vocabularies: Mapping[str, Vocabulary] | None = None
    continued: ContinuedHistories | None = None
    kept: dict[float, FittedHistories] = field(default_factory=dict, compare=False)

    @property
    def num_rows(self) -> dict[str, int]:
        return {"train": self.split.train.height, "validation": self.split.valid.height, "test": self.split.test.height}

    def findings(self, seed: int) -> tuple[Finding, ...]:
        return check_quality(self.split, self.schema, seed, self.dropped)

    def encode(self, settings: EncoderSettings, loader: DataLoader) -> tuple[Encoder, Batch, Batch]:
        log = self.log(settings.smoothing) if self.schema.history and settings.history else None
        known = None if log is None else log.histories
        encoder, train = Encoder.fit(
            self.split.train, self.schema, settings, self.seed, histories=known, kept=self.vocabularies
        )
        if log is not None:
            whole = replace(encoder, histories=log.completed(encoder.vocabularies))
            encoder = whole if settings.sequences else without_sequences(whole)
            train = with_histories(train, self._inputs(encoder, 0))
        coverage = train.coverage  # of all rows
        train = sample_negatives(train, self.schema.tasks, self.schema.negative_share, self.seed)
        train = replace(loader.hold(train, encoder.layout), coverage=coverage)
        return encoder, train, loader.encode(encoder, self.split.valid, train, self._inputs(encoder, 1))

    def test(self, encoder: Encoder, loader: DataLoader, like: Batch) -> Batch:
        return loader.encode(encoder, self.split.test, like, self._inputs(encoder, 2))

    def _inputs(self, encoder: Encoder, part: int) -> HistoryInputs:
        """Return the inputs of histories of a part's rows."""
        if encoder.histories is None:
            return HistoryInputs.nothing(self._tables[part].height)
        found = self.log(encoder.settings.smoothing).inputs(encoder.vocabularies, self._rows[part])
        return found if encoder.histories.sequences else replace(found, lists=())

    @property
    def _rows(self) -> list[slice]:
        """The rows of each part in the log."""
        edges = np.cumsum([0, *(part.height for part in self._tables)]).tolist()
        return [slice(start, stop) for start, stop in pairwise(edges)]

    @property
    def _tables(self) -> tuple[pl.DataFrame, ...]:
        return self.split.train, self.split.valid, self.split.test

    @property
    def rows(self) -> pl.DataFrame:
        """The rows of all parts, one part after another."""
        return pl.concat(self._tables)

    def period(self) -> list[str] | None:
        """Return the first and the last time of all rows as the table has them; None without a time column."""
        if self.schema.time is None:
            return None
        times = self.rows[self.schema.time].alias("time").drop_nulls()
        return [str(times.min()), str(times.max())] if len(times) else None

    def summary(self) -> dict[str, Any]:
        """Describe the table in plain values: the period of its rows, and the columns that have no role."""
        schema = self.schema
        conditions = (*schema.condition_columns, schema.weight, schema.group, schema.time, schema.split)
        used = {*schema.columns, *schema.task_names, *schema.outcomes, *conditions}
        return {"period": self.period(), "left_out": [name for name in self.split.train.columns if name not in used]}

    def log(self, smoothing: float) -> FittedHistories | ContinuedHistories:
        """Return the histories of the log that all rows are; they are kept."""
        if self.continued is not None:
            return self.continued
        if smoothing not in self.kept:
            part = np.repeat(np.arange(3, dtype=np.uint8), [one.height for one in self._tables])
            self.kept.clear()
            self.kept[smoothing] = fit_histories(self.rows, part, self.schema, smoothing)
        return self.kept[smoothing]


@dataclass(frozen=True)
class FolderSource:
    """A prepared table; `schema` has some or all of its tasks."""

    folder: PreparedFolder
    schema: Schema

    @property
    def digest(self) -> str:
        return self.folder.digest

    @property
    def num_rows(self) -> dict[str, int]:
        rows = self.folder.num_rows
        return {"train": rows["train"], "validation": rows["valid"], "test": rows["test"]}

    def findings(self, seed: int) -> tuple[Finding, ...]:
        tasks = (None, *self.schema.task_names)
        return tuple(Finding(**one) for one in self.folder.report.get("findings", ()) if one.get("task") in tasks)

    def encode(self, settings: EncoderSettings, loader: DataLoader) -> tuple[Encoder, Batch, Batch]:
        self.check(settings)
        encoder = select_inputs(self.folder.encoder, self.schema, settings)
        train, valid = (self.folder.rows_of(encoder, part, loader) for part in ("train", "valid"))
        return encoder, train, valid

    def test(self, encoder: Encoder, loader: DataLoader, like: Batch) -> Batch:
        return self.folder.rows_of(encoder, "test", loader)

    def check(self, settings: EncoderSettings) -> None:
        """Check that the rows fit the settings, which may leave out target encoding or histories.

        Raises SettingsError.
        """
        own = self.folder.encoder.settings
        for one in fields(EncoderSettings):
            wanted, there = getattr(settings, one.name), getattr(own, one.name)
            left_out = one.name == "prune_histories" or (wanted is False and one.name in ("target_encoding", "history"))
            if wanted != there and not left_out:
                raise _again(self.folder, f"encoder.{one.name} is {wanted!r}", f"was prepared with {there!r}")

    def check_seed(self, seed: int) -> None:
        """Check the seed of the split; 0 means that none was given. Raises SettingsError."""
        if seed not in (0, self.folder.origin.seed):
            raise _again(self.folder, f"the split seed is {seed}", f"was split with {self.folder.origin.seed}")


def open_source(
    given: Any,
    tasks: Sequence[str],
    roles: ColumnRoles,
    schema: Schema | None,
    settings: Settings,
    seed: int,
    *,
    identify: bool = False,
) -> tuple[Source, Settings]:
    """Open a table or prepared table; return its rows, and the settings completed by those of a prepared table.

    `seed` draws the split. `identify` computes the digest of a table. Raises SettingsError for choices that a prepared
    table no longer allows.
    """
    seed = checked_seed(seed)
    if is_prepared(given):
        return _open_folder(_opened(given), tasks, roles, schema, settings)
    table = read_table(given)
    schema = resolve_schema(table, tasks, roles, schema)
    check_schema(table, schema)
    for task in schema.tasks:
        check_labels(table, task)
    check_weights(table, schema)
    split = split_table(table, schema, settings.split, seed)
    return TableSource(split, schema, seed, table_digest(table) if identify else "", roles.drop), settings


def tell_source(callback: Callback, rows: Source, roles: ColumnRoles, schema: Schema | None) -> None:
    """Tell of the histories of rows that `open_source` opened with these roles and schema."""
    tell_history(callback, rows.schema, roles, rows.schema if isinstance(rows, FolderSource) else schema)


def check_schema(table: pl.DataFrame, schema: Schema) -> None:
    """Check that the table has all columns of the schema, and that metrics are known. Raises AutomtlError."""
    check_columns(table, schema)
    check_metrics(schema.tasks)


def open_again(given: Any, schema: Schema, split: SplitSettings, seed: int) -> Source:
    """Open in another process the rows that `open_source` opened."""
    if is_prepared(given):
        return FolderSource(PreparedFolder.open(given), schema)
    table = read_table(given)
    return TableSource(split_table(table, schema, split, seed), schema, seed, table_digest(table))


def _opened(given: Any) -> PreparedFolder:
    """Open a prepared table, which is data: it imports only packages that are allowed."""
    folder = PreparedFolder.open(given)
    with names_of_folder():
        check_metrics(folder.schema.tasks)
    return folder


def _open_folder(
    folder: PreparedFolder, tasks: Sequence[str], roles: ColumnRoles, schema: Schema | None, settings: Settings
) -> tuple[FolderSource, Settings]:
    given = None if schema is None else schema.without(folder.report.get("empty_columns", ()))
    if given is not None and _filled(given, folder.schema) != folder.schema:
        raise _again(folder, "a schema is given", "has its own")
    for name, value in roles.columns.items():
        if value and value != getattr(folder.schema, name, None):
            column = value if isinstance(value, str) else value[0]
            raise _again(folder, f"column '{column}' is given as {name}", "is encoded already")
    if roles.history_of(folder.schema.history) != folder.schema.history:
        raise _again(folder, "other histories or label delays are given", "has those that it was prepared with")
    if settings.split not in (SplitSettings(), folder.origin.split):
        raise _again(folder, "settings of the split are given", "is split already")
    kept = of_some_tasks(folder.schema, tasks, f"prepared table '{folder.place}'") if tasks else folder.schema
    source = FolderSource(folder, kept)
    encoding = replace(folder.encoder.settings, **changed_values(settings.encoder))
    settings = replace(settings, encoder=encoding, split=folder.origin.split)
    for made in (settings, *(preset.apply(settings) for preset in settings.presets)):
        source.check(made.encoder)
    return source, settings


def _filled(schema: Schema, other: Schema) -> Schema:
    """Fill in what a schema leaves to the table, as `completed_schema` did for another one."""
    known = {field.name: field for field in other.fields}
    names = ("zone", "decimal", "thousands")

    def filled(field: Field) -> Field:
        like = known.get(field.name, field)
        return replace(field, **{name: getattr(like, name) for name in names if getattr(field, name) is None})

    history = other.history if schema.history is None else schema.history
    if history and other.history:
        history = history.filled(other.history)
    time = other.time if schema.time is None and history else schema.time
    scaled = {task.name: task for task in other.tasks}

    def with_scale(task: Task) -> Task:
        like = scaled.get(task.name, task)
        return replace(task, **{one: getattr(like, one) for one in ("center", "scale") if getattr(task, one) is None})

    fields, tasks = tuple(map(filled, schema.fields)), tuple(map(with_scale, schema.tasks))
    return replace(schema, fields=fields, tasks=tasks, history=history, time=time)


def _again(folder: PreparedFolder, what: str, why: str) -> SettingsError:
    return SettingsError(f"{what}, but the prepared table '{folder.place}' {why}; prepare it again, or leave that out")
