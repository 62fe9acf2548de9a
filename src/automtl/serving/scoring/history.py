"""The inputs of histories of a whole table, where rows know of each other: made ahead, kept in files.

Only times, keys and outcomes of the rows are in memory, and the inputs of the rows while they are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.dataset.builder.workdir import Work, write_about
from automtl.errors import SettingsError
from automtl.features.histories import Histories, HistoryInputs
from automtl.features.vocabulary import Vocabulary
from automtl.histories.rows import Rows
from automtl.predictor import Predictor
from automtl.serving.scoring.progress import Counter
from automtl.system.progress import Callback, Notice
from automtl.tables.reading.files import Place, TableFiles

ROWS = 1 << 18  # that are read at a time
STEP = "histories"


def needs_whole(predictor: Predictor, source: TableFiles, log: str | None) -> bool:
    """Tell whether the rows of a table know of each other, or of a log. Raises SettingsError for a log in vain."""
    histories = predictor.encoder.histories
    if log is not None and histories is None:
        raise SettingsError("the model was fitted without histories; leave the log of histories out")
    return histories is not None and bool(histories.plan.keys) and (
        log is not None or histories.takes(source.columns)
    )  # fmt: skip


def history_inputs(
    predictor: Predictor, source: TableFiles, log: str | None, work: Work, callback: Callback
) -> HistoryInputs:
    """Return the inputs of all rows, in files of the working folder, which are made if they are not there yet."""
    histories, vocabularies = predictor.encoder.histories, predictor.encoder.vocabularies
    assert histories is not None
    if work.done(STEP) is None:
        callback(Notice(_told(log)))
        with work.step(STEP) as folder:
            _write(folder, _inputs(histories, vocabularies, source, log, callback))
    folder, lists = work.folder / STEP, (work.done(STEP) or {})["lists"]
    numbers = np.load(folder / "numbers.npy", mmap_mode="c")
    return HistoryInputs(numbers, tuple(np.load(folder / f"list.{place}.npy", mmap_mode="c") for place in range(lists)))


def _told(log: str | None) -> str:
    why = "all histories come from the log" if log else "the table has labels, so its own earlier rows count"
    return f"{why}: the times, keys and outcomes of all rows are read first and held in memory"


def _inputs(
    histories: Histories, vocabularies: dict[str, Vocabulary], source: TableFiles, log: str | None, callback: Callback
) -> HistoryInputs:
    def rows(files: TableFiles, happened: bool | None) -> Rows:
        names = [name for name in files.columns if name in _needed(histories)]
        read = (
            histories.new_rows(table, vocabularies) if happened is None
            else histories.rows(table, vocabularies, happened=happened)
            for table in _tables(files, names, callback)
        )  # fmt: skip
        return Rows.joined(list(read))

    if log is None:
        return histories.inputs(rows(source, None), vocabularies, histories.state)
    known, asked = rows(TableFiles.open(log), True), rows(source, False)
    chosen = np.arange(len(known), len(known) + len(asked))
    return histories.inputs(Rows.joined([known, asked]), vocabularies, None, chosen)


def _needed(histories: Histories) -> set[str | None]:
    schema = histories.schema
    return {*schema.columns, *schema.task_names, *schema.condition_columns, *schema.outcomes, schema.time}


def _tables(files: TableFiles, names: list[str], callback: Callback) -> Iterator[pl.DataFrame]:
    counter = Counter("reading histories", files, callback)
    for piece in files.pieces(names, ROWS, Place()):
        yield piece.table
        counter.add(piece.table.height)


def _write(folder: Path, inputs: HistoryInputs) -> None:
    np.save(folder / "numbers.npy", inputs.numbers)
    for place, ids in enumerate(inputs.lists):
        np.save(folder / f"list.{place}.npy", ids)
    about: dict[str, Any] = {"lists": len(inputs.lists)}
    write_about(folder, about)
