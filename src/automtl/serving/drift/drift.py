"""Compare a table of any size with the rows that a saved model was tested on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from automtl._version import __version__
from automtl.dataset.builder.workdir import Work
from automtl.errors import FileError, SchemaError, suggestion
from automtl.features.batch import Batch
from automtl.features.coverage import Coverage
from automtl.features.histories import HistoryInputs
from automtl.predictor import Predictor
from automtl.serving.drift.compare import Comparison, held_out
from automtl.serving.drift.settings import DriftSettings
from automtl.serving.scoring.history import history_inputs, needs_whole
from automtl.serving.scoring.progress import Counter
from automtl.serving.scoring.stream import located
from automtl.system.address import name_of
from automtl.system.progress import Callback, ignore
from automtl.system.threads import ahead
from automtl.tables.names import shown
from automtl.tables.reading.files import Place, TableFiles
from automtl.tables.schema import Schema

ROWS = 1 << 16  # that are read at a time


def drift(
    model: Path | str,
    source: str,
    *,
    settings: DriftSettings | None = None,
    ignored: Collection[str] = (),
    history: str | None = None,
    allow: Collection[str] = (),
    key: Path | str | None = None,
    callback: Callback = ignore,
) -> dict[str, Any]:
    """Compare a table of files with the validation and test rows of a saved model's fit, in plain values.

    `drift` lists what changed by more than the settings allow and by more than chance; it is empty where nothing did.
    `fields`: shares of missing and unknown values; `columns`: the population stability index of each column; `tasks`:
    that of the scores and, where the table has labels, their rate, calibration and AUC. `ignored`: columns and tasks
    that are compared, but count as no drift; `history`: a log, see `Predictor.predict`; `allow`, `key`: see
    `Predictor.load`. Raises FileError for a model that was saved without a profile.

    >>> log = automtl.synthetic_log(rows=1000, seed=0)
    >>> log[:500].write_parquet("tomorrow.parquet")
    >>> quick = automtl.read_settings(None, {"model": "mmoe", "presets": [], "training": {"epochs": 1}})
    >>> run = automtl.fit_table(log[500:], ["click", "buy"], settings=quick, out="runs/watched")
    >>> automtl.drift("runs/watched", "tomorrow.parquet")["drift"]
    []
    """
    predictor, files = Predictor.load(model, allow=allow, key=key), TableFiles.open(source)
    if predictor.profile is None:
        raise FileError(f"'{model}' was saved without the profile of its rows; fit again to watch it for drift")
    _check_ignored(predictor, ignored)
    reader = Reader(predictor, files, callback)
    with TemporaryDirectory(prefix="automtl-") as folder:
        inputs = None
        if needs_whole(predictor, files, history):
            inputs = history_inputs(predictor, files, history, Work(Path(folder)), callback)
        profile, coverage = None, Coverage()
        for batch in reader.batches(inputs):
            own = predictor.profile.counted(predictor.encoder, batch, predictor.scores(batch))
            profile = own if profile is None else profile + own
            coverage = coverage + (batch.coverage or Coverage())
    assert profile is not None
    found = Comparison(
        profile, predictor.profile, coverage, held_out(predictor.at_fit), settings or DriftSettings(), set(ignored)
    ).to_dict()
    about = {"automtl": __version__, "model": Path(model).resolve().name, "table": name_of(source)}
    return about | {"labelled": list(reader.labelled)} | found


def _check_ignored(predictor: Predictor, ignored: Collection[str]) -> None:
    """Raise SchemaError for a name that is neither a field nor a task."""
    assert predictor.profile is not None
    known = {shown(one.name).split(":")[0] for one in predictor.profile.columns} | set(predictor.schema.columns)
    known |= {shown(one.name) for one in predictor.profile.columns} | set(predictor.schema.task_names)
    for name in ignored:
        if name not in known:
            raise SchemaError(f"--ignore {name}: there is no such column or task{suggestion(name, known)}")


@dataclass(frozen=True)
class Reader:
    """Reads a table in pieces, with the labels that it has."""

    predictor: Predictor
    source: TableFiles
    callback: Callback

    @property
    def schema(self) -> Schema:
        """The schema of the encoder."""
        return self.predictor.encoder.schema

    @property
    def labelled(self) -> tuple[str, ...]:
        """The tasks whose labels the table has; none where it lacks columns of conditions or weights."""
        have, weight = set(self.source.columns), self.schema.weight
        if not set(self.schema.condition_columns) <= have or (weight is not None and weight not in have):
            return ()
        return tuple(name for name in self.schema.task_names if name in have)

    def batches(self, inputs: HistoryInputs | None) -> Iterator[Batch]:
        """Yield the encoded rows. inputs: those of histories, where rows know of each other."""
        encoder, tasks, row = self.predictor.encoder, self.labelled, 0
        counter = Counter("comparing", self.source, self.callback)
        for piece in ahead(self.source.pieces(self._columns(tasks), ROWS, Place())):
            height = piece.table.height
            own = None if inputs is None else inputs.take(slice(row, row + height))
            with located(self.source, piece):
                table = self._completed(piece.table, tasks)
                if own is None and encoder.histories is not None:
                    own = encoder.histories.of(piece.table.drop(tasks), encoder.vocabularies)
                batch = encoder.encode(table, labels=bool(tasks), history=own)
            yield replace(batch, group=None, coverage=batch.coverage)
            row += height
            counter.add(height)

    def _columns(self, tasks: tuple[str, ...]) -> list[str]:
        schema, histories = self.schema, self.predictor.encoder.histories
        wanted: set[str | None] = {*self.predictor.schema.columns, *schema.columns}
        if tasks:
            wanted |= {*tasks, *schema.condition_columns, schema.weight}
        if histories is not None:
            wanted |= {*histories.schema.columns, histories.schema.time}
        return [name for name in self.source.columns if name in wanted]

    def _completed(self, table: pl.DataFrame, tasks: tuple[str, ...]) -> pl.DataFrame:
        """Add missing labels of tasks that the table lacks, if it has others."""
        absent = [name for name in self.schema.task_names if name not in tasks] if tasks else []
        return table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
