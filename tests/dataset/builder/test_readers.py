"""Several readers of one source give the bytes of one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automtl.dataset.builder.chunks import Reader, read_values
from automtl.dataset.builder.merging import merge
from automtl.dataset.builder.readers import Remote, cut, read_at_once, read_where_seen, share_out
from automtl.dataset.builder.workdir import FileChunk, Work
from automtl.errors import SchemaError, WorkerError
from automtl.features.chunk import ChunkColumns
from automtl.features.dictionary import joined_values
from automtl.features.settings import EncoderSettings
from automtl.tables.reading.files import TableFiles
from tests.dataset.builder.tables import make_schema, make_table, write_parts
from tests.experiment.test_prepare import prepared, same_files, source

SCHEMA = make_schema(time=False, weight=True, split=True)


@pytest.mark.parametrize(
    ("sizes", "count", "starts"),
    [
        ([1, 1, 1, 1], 2, [0, 2]),
        ([1, 1, 1, 1], 1, [0]),
        ([5], 3, [0]),
        ([9, 1, 1, 1], 2, [0, 1]),
        ([1, 1, 1, 9], 2, [0, 3]),
        ([1, 1], 9, [0, 1]),
        ([0, 0], 2, [0, 1]),
    ],
)
def test_readers_have_about_alike_much(sizes: list[int], count: int, starts: list[int]) -> None:
    assert cut(sizes, count) == starts


def reader(parts: Path, work: Path) -> Reader:
    (work / "chunks").mkdir(parents=True, exist_ok=True)
    files = TableFiles.open(str(parts))
    return Reader(files, ChunkColumns(SCHEMA, EncoderSettings(), files.columns, False), Work(work), 7, 2**30)


def test_what_two_readers_have_begun_is_finished_by_two_though_three_are_asked_for(tmp_path: Path) -> None:
    parts = source(tmp_path)
    whole = reader(parts, tmp_path / "work")
    first = share_out(whole, 2)
    assert [(one.begin, len(one.source.parts)) for one in first] in ([(0, 1), (1, 3)], [(0, 2), (2, 3)])
    rows = next(iter(first[1].read()))
    again = share_out(whole, 3)
    assert [one.begin for one in again] == [one.begin for one in first]
    assert rows and sum(sum(one.read()) for one in again) == 90
    chunks = whole.work.chunks
    assert sum(one.rows for one in chunks) == 90
    last = [one for one in chunks if one.run == 0][-1]
    assert all(one.before == tuple(last.about["size"]) for one in chunks if one.run == 1)


@pytest.mark.parametrize("room", [2**30, 1000])
def test_several_readers_have_the_codes_of_one_where_there_is_room(room: int, tmp_path: Path) -> None:
    parts, rows, rng = tmp_path / "parts", 6000, np.random.default_rng(0)
    many = pl.Series(rng.integers(0, 2**62, 2000)).gather(rng.integers(0, 2000, rows))
    texts = {"item": "u " + many.cast(pl.String), "wide": many}
    write_parts(make_table(0, rows).with_columns(**texts), parts, 3, ".parquet")
    one, whole = (replace(reader(parts, tmp_path / name), rows=700) for name in ("one", "three"))
    assert sum(one.read()) == sum(sum(own.read()) for own in share_out(whole, 3)) == rows
    merge(whole.work, 3, len(whole.columns.coded), room)
    expected, chunks = one.work.chunks, whole.work.chunks
    for place in range(len(whole.columns.coded)):
        (_, wanted), (values, found) = (met(some, place) for some in (expected, chunks))
        assert found == wanted and len(values) == chunks[-1].about["size"][place]
        if room == 1000:
            assert not chunks[-1].merged
        else:
            assert len(set(values)) == len(values) == expected[-1].about["size"][place]


def met(chunks: list[FileChunk], place: int) -> tuple[list[str], list[str | None]]:
    """The values of all codes of a column, and those of the rows."""
    values = joined_values([read_values(chunk, place) for chunk in chunks]).cast(pl.String).to_list()
    codes = np.concatenate([chunk.array(f"ids.{place}") for chunk in chunks])
    return values, [values[code - 1] if code else None for code in codes.tolist()]


def test_a_machine_that_does_not_see_the_files_or_sees_others_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = source(tmp_path)
    monkeypatch.chdir(tmp_path)
    one = Remote.of(reader(Path("parts"), tmp_path / "work"))
    monkeypatch.chdir("/")
    (parts / "part-01.parquet").rename(tmp_path / "elsewhere")
    assert read_where_seen(one) is None
    (parts / "part-01.parquet").write_bytes(b"another one")
    assert read_where_seen(one) is None and not one.reader.work.chunks_of(0)
    (tmp_path / "elsewhere").rename(parts / "part-01.parquet")
    assert read_where_seen(one) == 90


def test_processes_give_the_bytes_of_one_and_the_first_mistake_in_the_order_of_files(tmp_path: Path) -> None:
    parts = source(tmp_path)
    prepared(parts, tmp_path / "one")
    prepared(parts, tmp_path / "two", workers=2)
    assert same_files(tmp_path / "one", tmp_path / "two")
    for place in (1, 2):
        path = parts / f"part-{place:02d}.parquet"
        wrong = pl.when(pl.int_range(pl.len()) == 20 - 5 * place).then(-1.0).otherwise("w")
        pl.read_parquet(path).with_columns(w=wrong).write_parquet(path)
    with pytest.raises(SchemaError, match="part-01.parquet', row 16: "):
        list(read_at_once(share_out(reader(parts, tmp_path / "bad"), 3), 1))
    assert not multiprocessing.active_children()


class Dead:
    """Stands for a process that is killed before it says anything."""

    def __init__(self, target: object, args: tuple[object, ...], daemon: bool) -> None:
        self.connection = args[1]

    def start(self) -> None:
        pass

    kill = join = start


def test_a_process_that_is_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        Process, Pipe = Dead, staticmethod(multiprocessing.Pipe)

    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: Context)
    two = share_out(reader(source(tmp_path), tmp_path / "work"), 2)
    read: Iterator[int] = read_at_once(two, 1)
    with pytest.raises(WorkerError, match="was killed, perhaps for want of memory"):
        list(read)
