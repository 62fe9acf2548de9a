"""Score a table of any size with a saved model, in bounded memory; what was stopped goes on where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from automtl.dataset.builder.workdir import Work
from automtl.features.gaps import find_gaps, warn_of_gaps
from automtl.predictor import Precision, Predictor
from automtl.serving.scoring.formats import Format, check_writable, opened
from automtl.serving.scoring.history import history_inputs, needs_whole
from automtl.serving.scoring.kept import KeptColumns
from automtl.serving.scoring.keys import require_known
from automtl.serving.scoring.progress import Counter
from automtl.serving.scoring.stream import Cursor, Stream, Unit
from automtl.serving.scoring.target import Target
from automtl.serving.scoring.work import Units, plan_of, working
from automtl.system.progress import Callback, Notice, ignore
from automtl.tables.reading.files import TableFiles
from automtl.training.evaluation import PREDICT_ROWS

UNIT_ROWS = 1 << 16  # rows of a unit, if nothing else is said


@dataclass(frozen=True)
class Scoring:
    """One job. rows: of a unit; kept: columns of the input; prefix: before the names of the scores."""

    predictor: Predictor
    source: TableFiles
    kept: KeptColumns
    rows: int
    log: str | None
    allow_unknown: bool
    prefix: str
    callback: Callback

    def stream(self, work: Work) -> Stream:
        """Return what reads the table, with the inputs of histories in files where rows know of each other."""
        inputs = None
        if needs_whole(self.predictor, self.source, self.log):
            inputs = history_inputs(self.predictor, self.source, self.log, work, self.callback)
        return Stream(self.predictor, self.source, self.kept, self.rows, inputs)

    def tables(self, stream: Stream, start: Cursor) -> Iterator[tuple[pl.DataFrame, Cursor]]:
        """Yield kept columns and scores of each unit behind a cursor. Raises EncodingError as `predict` does."""
        counter = Counter("scoring", self.source, self.callback, start.rows)
        for unit in stream.units(start):
            if unit.then.rows <= self.rows and not self.allow_unknown:
                require_known(self.predictor, self.source, unit.coverage)
            yield self._scored(unit), unit.then
            counter.add(len(unit.batch))

    def _scored(self, unit: Unit) -> pl.DataFrame:
        scores = {f"{self.prefix}{name}": values for name, values in self.predictor.columns(unit.batch).items()}
        return pl.DataFrame({**{name: unit.kept[name] for name in self.kept.names}, **scores})

    def warn(self, cursor: Cursor) -> None:
        """Warn of columns that are less known in all rows than they were at fit."""
        warn_of_gaps(find_gaps(self.predictor.schema, cursor.coverage, self.predictor.at_fit))


def predict_table(
    model: Path | str,
    source: str,
    out: Path | str,
    *,
    keep: Sequence[str] = (),
    prefix: str = "",
    history: str | None = None,
    format: Format | None = None,
    rows_per_piece: int = UNIT_ROWS,
    precision: Precision = "full",
    allow_unknown: bool = False,
    overwrite: bool = False,
    allow: Collection[str] = (),
    key: Path | str | None = None,
    callback: Callback = ignore,
) -> int:
    """Score a table of files, piece by piece, and write `keep` columns and scores; returns the number of rows.

    The scores are those of `Predictor.predict`, bit by bit, in the table's order. `out`: a file, whose ending says its
    form; a folder, if it is one or ends with '/', which gets a file of `format` for each piece; '-': standard output,
    as CSV or, by `format`, lines of JSON. `prefix`: before the names of scores; `history`: a log, see `predict`;
    `allow`, `key`: see `Predictor.load`. `rows_per_piece` bounds the memory; it is rounded up to batches. A hidden
    folder beside `out` keeps what is done: if the call is stopped, the same call goes on from there. `out` appears
    whole or not at all. Raises FileError if it exists, unless `overwrite` is set, or if another process writes it.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> log.write_parquet("log.parquet")
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> run = automtl.fit_table(log, ["click"], settings=automtl.read_settings(None, quick), out="runs/large")
    >>> automtl.predict_table("runs/large", "log.parquet", "scores.csv", keep=["user_id", "item_id"])
    500
    >>> automtl.read_table("scores.csv").columns
    ['user_id', 'item_id', 'click']
    """
    target = Target.of(str(out), format, overwrite)
    predictor, files = Predictor.load(model, precision, allow=allow, key=key), TableFiles.open(source)
    names = [f"{prefix}{name}" for name in predictor.score_names]
    kept = KeptColumns.of_source(keep, files, names)
    check_writable(target.kind, kept.types)
    rows = -(-max(rows_per_piece, 1) // PREDICT_ROWS) * PREDICT_ROWS
    job = Scoring(predictor, files, kept, rows, history, allow_unknown, prefix, callback)
    if target.path is None:
        return _to_standard_output(job, target)
    options = {
        "keep": list(keep), "prefix": prefix, "rows of a piece": rows, "precision": precision,
        "allow unknown": allow_unknown,
    }  # fmt: skip
    with working(target.path, plan_of(Path(model), files, history, options), callback) as work:
        stream, units = job.stream(work), Units(work)
        cursor = units.cursor
        if cursor.rows:
            callback(Notice(f"an earlier run has scored {cursor.rows:,} rows; this one goes on from there"))
        for table, then in job.tables(stream, cursor):
            units.add(len(units.folders), table, then)
        cursor = units.cursor
        job.warn(cursor)
        target.write(units, kept)
    return cursor.rows


def _to_standard_output(job: Scoring, target: Target) -> int:
    """Write units as they are scored; nothing is kept, so nothing can go on."""
    cursor, output = Cursor(), sys.stdout.buffer
    with TemporaryDirectory(prefix="automtl-") as folder, ExitStack() as stack:
        stream = job.stream(Work(Path(folder)))
        writer = opened(output, target.kind, False, stack)
        for table, then in job.tables(stream, Cursor()):
            writer.write(table)
            output.flush()
            cursor = then
    job.warn(cursor)
    return cursor.rows
