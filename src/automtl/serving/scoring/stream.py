"""Encoded rows of a table of any size, cut into units of equal numbers of rows. R rows of a unit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl
from torch.nn.functional import pad

from automtl.errors import AutomtlError, RowError
from automtl.features.batch import Batch
from automtl.features.chunk import LISTS
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.histories import HistoryInputs
from automtl.predictor import Predictor
from automtl.serving.scoring.kept import KeptColumns
from automtl.system.threads import ahead
from automtl.tables.derive import completed, derive
from automtl.tables.reading.files import Piece, Place, TableFiles
from automtl.tables.schema import Schema
from automtl.tables.values.lists import as_parts


@dataclass(frozen=True)
class Cursor:
    """Where scoring stands: `rows` done; it goes on with the piece at `place`, without its first `skip` rows.

    coverage: of all rows before that piece.
    """

    rows: int = 0
    place: Place = field(default_factory=Place)
    skip: int = 0
    coverage: Coverage = field(default_factory=Coverage)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, which `from_dict` reads."""
        return {"rows": self.rows, "place": asdict(self.place), "skip": self.skip, "coverage": self.coverage.to_dict()}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Cursor:
        """Build the cursor that `to_dict` described."""
        return Cursor(values["rows"], Place(**values["place"]), values["skip"], Coverage.from_dict(values["coverage"]))


@dataclass(frozen=True)
class Unit:
    """R encoded rows (the last unit may have fewer), their kept columns, and where scoring goes on behind them.

    coverage: of all rows that have been encoded by now.
    """

    batch: Batch
    kept: pl.DataFrame
    then: Cursor
    coverage: Coverage


@dataclass(frozen=True)
class Encoded:
    """What is left of an encoded piece. taken: its rows that are gone; before, after: coverage without and with it."""

    batch: Batch
    kept: pl.DataFrame
    piece: Piece
    taken: int
    before: Coverage
    after: Coverage

    def cut(self, rows: int) -> tuple[Batch, pl.DataFrame]:
        """Return the first rows."""
        return self.batch.take(slice(0, rows)), self.kept.head(rows)

    def rest(self, rows: int) -> Encoded:
        """Leave the first rows out."""
        batch = self.batch.take(slice(rows, len(self.batch)))
        return replace(self, batch=batch, kept=self.kept.slice(rows), taken=self.taken + rows)


@dataclass(frozen=True)
class Stream:
    """Reads and encodes a table. histories: the inputs of all rows, where rows know of each other."""

    predictor: Predictor
    source: TableFiles
    kept: KeptColumns
    rows: int
    histories: HistoryInputs | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder of the model."""
        return self.predictor.encoder

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        wanted = {*self.predictor.schema.columns, *self.encoder.schema.columns, *self.kept.names}
        if self.encoder.histories is not None:
            wanted |= {*self.encoder.histories.schema.columns, str(self.encoder.histories.schema.time)}
        return [name for name in self.source.columns if name in wanted]

    def units(self, start: Cursor) -> Iterator[Unit]:
        """Yield the units behind a cursor. Raises an AutomtlError that names the file and rows it is about."""
        widths = self._list_widths()
        waiting, count, first = deque[Encoded](), 0, start.rows
        for one in self._encoded(start, widths):
            waiting.append(one)
            count += len(one.batch)
            while count >= self.rows:
                first, count = first + self.rows, count - self.rows
                yield _unit(waiting, self.rows, first)
        if count:
            yield _unit(waiting, count, first + count)

    def _encoded(self, start: Cursor, widths: list[int]) -> Iterator[Encoded]:
        row, skip, coverage = start.rows - start.skip, start.skip, start.coverage
        texts = self.kept.names if self.kept.as_texts else ()
        for piece in ahead(self.source.pieces(self.columns, self.rows, start.place, texts)):
            height = piece.table.height
            own = None if self.histories is None else self.histories.take(slice(row, row + height))
            with located(self.source, piece):
                batch = self.encoder.encode(piece.table, labels=False, history=own)
            after = coverage + (batch.coverage or Coverage())
            found = Encoded(_widened(batch, widths), self.kept.of(piece), piece, 0, coverage, after)
            if skip < height:
                yield found.rest(skip) if skip else found
            row, skip, coverage = row + height, max(skip - height, 0), after

    def _list_widths(self) -> list[int]:
        """Return how many values the longest row of each list field has in the whole table, as a batch of it has.

        The columns of lists are read for it, until they are as long as the encoder reads.
        """
        schema, limit = self.encoder.schema, self.encoder.settings.max_values
        lists = [one for one in schema.fields if one.kind in LISTS]
        if not lists:
            return []
        names = {one.name for one in lists} | {one.target for one in lists}
        own = Schema(tuple(one for one in schema.fields if one.name in names), schema.tasks)
        most, found = [one.max_values or limit for one in lists], [1 for _ in lists]
        for piece in self.source.pieces([name for name in self.source.columns if name in names], self.rows, Place()):
            with located(self.source, piece):
                table = derive(completed(piece.table, own), own, {})
                sizes = [as_parts(table[one.name], one, limit)[1].max(initial=1) for one in lists]
            found = [max(before, int(size)) for before, size in zip(found, sizes, strict=True)]
            if found == most:
                break
        return found


def _widened(batch: Batch, widths: list[int]) -> Batch:
    """Pad the lists of fields, which come first, to these widths."""
    multi = batch.features.multi
    padded = tuple(
        pad(ids, (0, width - ids.shape[1])) if ids.shape[1] < width else ids
        for ids, width in zip(multi, widths, strict=False)
    )
    return replace(batch, features=replace(batch.features, multi=(*padded, *multi[len(widths) :])))


def _unit(waiting: deque[Encoded], rows: int, done: int) -> Unit:
    """Take the first rows of the waiting pieces. done: the rows of the table up to the last of these."""
    parts: list[tuple[Batch, pl.DataFrame]] = []
    left = rows
    while left:
        first = waiting.popleft()
        count = min(left, len(first.batch))
        parts.append(first.cut(count))
        left -= count
        if count < len(first.batch):
            waiting.appendleft(first.rest(count))
    if waiting:
        then = Cursor(done, waiting[0].piece.place, waiting[0].taken, waiting[0].before)
    else:
        then = Cursor(done, first.piece.then, 0, first.after)
    batch = parts[0][0] if len(parts) == 1 else Batch.joined([one for one, _ in parts])
    known = waiting[-1].after if waiting else first.after
    return Unit(batch, KeptColumns.joined([kept for _, kept in parts]), then, known)


@contextmanager
def located(source: TableFiles, piece: Piece) -> Iterator[None]:
    """Name the file and the row, or the rows, in errors of the block."""
    file, first = source.parts[piece.place.part].file, piece.place.row + 1
    try:
        yield
    except RowError as error:
        raise error.at(file, first) from None
    except AutomtlError as error:
        rows = f", rows {first} to {first + piece.table.height - 1}" if piece.table.height else ""
        raise type(error)(f"'{file}'{rows}: {error}") from None
