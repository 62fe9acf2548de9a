"""The steps of a preparation, one after another, in one working folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count
from typing import Any

import numpy as np

from automtl.dataset.builder.chunks import Reader
from automtl.dataset.builder.histories import FileHistories, fit_histories
from automtl.dataset.builder.merging import merge
from automtl.dataset.builder.readers import Remote, read_at_once, read_where_seen, share_out
from automtl.dataset.builder.report import describe_columns, describe_tasks
from automtl.dataset.builder.rows import FileRows
from automtl.dataset.builder.workdir import FileChunk, Work, write_about
from automtl.dataset.prepared import write_encoder
from automtl.dataset.store import Store, noting
from automtl.features.batch import Batch
from automtl.features.chunk import ChunkColumns
from automtl.features.coverage import Coverage
from automtl.features.encoder import CodedRows, Encoder, completed_batch, history_numbers, with_events
from automtl.features.fitting import Fitted, fit_rows
from automtl.features.settings import EncoderSettings
from automtl.system.files import remove_unfinished
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.threads import in_order, in_threads, num_threads
from automtl.tables.reading.files import TableFiles
from automtl.tables.roles import PARTS, TRAIN, starts
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings, require_rows, split_rule

Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]  # works on items at once, and keeps their order
ELEMENT_BYTES = 4  # of each element of an encoded row
Thin = Callable[[Iterable[Batch], int], Iterable[Batch]]  # from the training rows and their number to those that stay


@dataclass(frozen=True)
class CodedTable:
    """All rows, as codes in files, and all that turns them into encoded rows. `ids`: see `Fitted.ids`, or empty."""

    rows: FileRows
    fitted: Fitted
    encoder: Encoder
    histories: FileHistories | None
    ids: dict[int, np.ndarray]

    def with_ids(self) -> CodedTable:
        """Return the table with the ids of codes."""
        return self if self.ids else replace(self, ids=self.fitted.ids(self.rows))

    def batches(self, part: int, spread: Spread = in_order) -> Iterator[Batch]:
        """Yield the encoded rows of a part in their order, chunk by chunk; several chunks are encoded at once."""
        sizes = [int((chunk.part == part).sum()) for chunk in self.rows.chunks]
        first = np.cumsum([0, *sizes])[:-1].tolist()
        silent = replace(self, rows=replace(self.rows, callback=ignore))  # which may go to other machines
        return spread(partial(silent._batch, part), zip(count(), first))

    def _batch(self, part: int, given: tuple[int, int]) -> Batch:
        """Encode the rows of a part from a chunk, given by its number, and by the rows of the part before it."""
        number, start = given
        encoder, chunk = self.encoder, self.rows.chunks[number]
        chosen = np.flatnonzero(chunk.part == part)
        out = encoder.empty(len(chosen))
        own = CodedRows(
            encoder, self.rows.columns, chunk, self.ids, self.fitted, start if part == TRAIN else None, chosen
        )
        filled = encoder.fill(own, out, labels=True)
        batch = completed_batch(out, [filled], None if encoder.schema.group is None else own.role("group"))
        if self.histories is None:
            return batch
        numbers = history_numbers(batch, self.histories.histories.width)
        return with_events(batch, self.histories.fill(number, chosen, numbers))


@dataclass(frozen=True)
class Preparation:
    """One job. `rows` of a chunk and `memory_bytes` change no result, except vocabularies that do not fit.

    spread: lets chunks be encoded at once, in threads or on the nodes of a cluster, which see the working folder then.
    readers: processes that share the files of the source, on this machine or, where they are `remote`, on the nodes.
    """

    source: TableFiles
    schema: Schema
    settings: EncoderSettings
    split: SplitSettings
    seed: int
    work: Work
    rows: int
    memory_bytes: int
    callback: Callback = ignore
    thin: Thin = lambda batches, rows: batches
    spread: Spread = in_order
    readers: int = 1
    remote: bool = False

    @cached_property
    def columns(self) -> ChunkColumns:
        """The columns that are read."""
        by_time = self.schema.split is None and self.split.method == "time"
        return ChunkColumns(self.schema, self.settings, self.source.columns, by_time)

    def run(self) -> tuple[Encoder, dict[str, Any]]:
        """Write encoded rows to `encoded/NAME` in the working folder; returns the encoder and the report."""
        done = 0
        for more in self._read():
            done += more
            self.callback(Progress("reading", done, max(self.source.rows or 0, done)))
        counts = self._split()
        tasks = describe_tasks(self.work.chunks, self.schema)
        rows = self._file_rows(counts[TRAIN])
        fitted = fit_rows(rows)
        encoder, histories, ids = Encoder.of(self.settings, fitted), None, dict[int, np.ndarray]()
        if self.columns.history:
            ids = fitted.ids(rows)
            histories = fit_histories(rows, fitted, ids)
            encoder = replace(encoder, histories=histories.histories)
        encoded = self.work.folder / "encoded"
        encoded.mkdir(exist_ok=True)
        remove_unfinished(encoded)
        with ThreadPoolExecutor(1) as pool:  # writing large vocabularies takes as long as some millions of rows
            saved = pool.submit(write_encoder, encoded, encoder)
            self._write(CodedTable(rows, fitted, encoder, histories, ids), counts)
            saved.result()
        coverage = {part: Coverage.from_dict(self.work.done(_counted(part)) or {}) for part in PARTS}
        about = {
            "tasks": tasks,
            "columns": describe_columns(rows, fitted, encoder, coverage),
            "coverage": {part: one.to_dict() for part, one in coverage.items()},
        }
        return encoder, self._report(counts, encoder) | about

    def _read(self) -> Iterator[int]:
        """Read the source; yields the number of rows that were read since."""
        readers = share_out(Reader(self.source, self.columns, self.work, self.rows, self.memory_bytes), self.readers)
        if len(readers) == 1:
            yield from readers[0].read()
        elif self.remote:
            found = self.spread(read_where_seen, map(Remote.of, readers))
            for rows, reader in zip(found, readers, strict=True):
                yield sum(reader.read()) if rows is None else rows
        else:
            yield from read_at_once(readers, max(num_threads() // len(readers), 1))
        merge(self.work, len(readers), len(self.columns.coded), self.memory_bytes)

    def _file_rows(self, num_rows: int) -> FileRows:
        return FileRows(self.work, self.columns, num_rows, self.seed, self.memory_bytes, self.callback)

    def _split(self) -> list[int]:
        """Write the part of each row; returns the number of rows of each part."""
        if (done := self.work.done("split")) is not None:
            return list(done["rows"])
        chunks = self.work.chunks
        part_of = split_rule(chunks, self.schema, self.split, self.seed)

        def write(given: tuple[FileChunk, int]) -> np.ndarray:
            part = part_of(*given).astype(np.uint8)
            given[0].add("part", part)
            return np.bincount(part, minlength=3)

        counts: list[int] = np.sum(in_threads(write, starts(chunks)), axis=0).tolist()
        require_rows(counts)
        with self.work.step("split") as folder:
            write_about(folder, {"rows": counts})
        return counts

    def _write(self, table: CodedTable, counts: list[int]) -> None:
        """Write the encoded rows of each part that is not there yet; rows larger than the memory leave it again."""
        done, layout = 0, table.encoder.layout
        width = len(layout.categorical) + layout.num_numeric + 2 * layout.num_tasks + 1  # and lists
        cached = sum(counts) * width * ELEMENT_BYTES <= self.memory_bytes
        folders = [self.work.folder / "encoded" / name for name in PARTS]
        for part, folder in enumerate(folders):
            if not folder.exists():
                table = table.with_ids()
                every = self._counting(table.batches(part, self.spread), PARTS[part])
                batches: Iterable[Batch] = self._reported(every, done, sum(counts))
                if part == TRAIN:
                    batches = self.thin(batches, counts[TRAIN])
                Store.write(folder, batches, layout, cached=cached)
            done += counts[part]

    def _counting(self, batches: Iterable[Batch], part: str) -> Iterator[Batch]:
        """Yield the batches of a part, and leave their coverage in the working folder."""
        coverage: list[Coverage] = []
        yield from noting(batches, coverage)
        if self.work.done(_counted(part)) is None:
            with self.work.step(_counted(part)) as folder:
                write_about(folder, sum(coverage, Coverage()).to_dict())

    def _reported(self, batches: Iterable[Batch], done: int, total: int) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            done += len(batch)
            self.callback(Progress("encoding", done, total))

    def _report(self, counts: list[int], encoder: Encoder) -> dict[str, Any]:
        unused = [name for name in self.source.columns if name not in self.columns.needed]
        return {
            "files": len(self.source.parts),
            "empty_files": [part.file.name for part in self.source.parts if part.rows == 0],
            "rows": {"read": sum(counts), **dict(zip(PARTS, counts, strict=True))},
            "unused_columns": unused,
            "empty_columns": [one.name for one in self.schema.fields if one not in encoder.schema.fields],
        }


def _counted(part: str) -> str:
    """Name the step that leaves the coverage of a part."""
    return f"coverage.{part}"
