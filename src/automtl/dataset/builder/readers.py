"""Several readers of one source: each reads some of its files, with dictionaries of its own, in a process of its own.

A value that is met by two readers has two codes, as one has that a full dictionary has forgotten; all later steps add
up what they count of a value's codes, so that the result is the same bytes with any number of readers.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from automtl.dataset.builder.chunks import Reader
from automtl.errors import WorkerError
from automtl.system.children import ends_with_parent
from automtl.system.files import json_bytes, write_whole

RUNS = "runs.json"  # in the working folder: the first file of each reader


def cut(sizes: Sequence[int], count: int) -> list[int]:
    """Cut files of some sizes, in their order, for so many readers that have about alike much; the first file of each.

    There are fewer readers where there are fewer files.
    """
    ends = np.cumsum(sizes)
    wanted = ends[-1] * np.arange(1, count) / count
    starts = {0, *(int(place) + 1 for place in np.abs(ends[:, None] - wanted).argmin(0))}
    return sorted(one for one in starts if one < len(sizes))


def share_out(reader: Reader, count: int) -> list[Reader]:
    """Share out the files of a reader among so many; an earlier run of the same work has settled it if there was one.

    Each has its part of the memory.
    """
    path, parts = reader.work.folder / RUNS, reader.source.parts
    if path.is_file():
        starts: list[int] = json.loads(path.read_text(encoding="utf-8"))
    else:
        starts = cut([one.file.size for one in parts], count)
        write_whole(path, json_bytes(starts))
    memory = reader.memory_bytes // len(starts)
    return [
        replace(reader, source=replace(reader.source, parts=parts[:stop]), begin=start, run=run, memory_bytes=memory)
        for run, (start, stop) in enumerate(pairwise([*starts, len(parts)]))
    ]


@dataclass(frozen=True)
class Remote:
    """A reader that may work on another machine, if that sees the same files. `files`: what tells them from others."""

    reader: Reader
    files: tuple[Any, ...]

    @staticmethod
    def of(reader: Reader) -> Remote:
        """Make one of a reader on this machine."""
        reader = replace(reader, source=reader.source.absolute())
        return Remote(reader, tuple(one.identity for one in reader.source.parts[reader.begin :]))


def read_where_seen(remote: Remote) -> int | None:
    """Read all of a reader's files, and return their rows; None where this machine does not see them."""
    reader = remote.reader
    try:
        seen = remote.files == tuple(one.identity for one in reader.source.parts[reader.begin :])
    except OSError:
        return None
    return sum(reader.read()) if seen else None


def read_at_once(readers: Sequence[Reader], threads: int) -> Iterator[int]:
    """Let each reader read in a process of its own with so many threads; yields the rows that were read since.

    Raises what the first of the readers, in their order, has raised, and WorkerError where a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = zip(*(context.Pipe(duplex=False) for _ in readers), strict=True)
    processes = [
        context.Process(target=_read, args=(reader, own, threads), daemon=True)
        for reader, own in zip(readers, theirs, strict=True)
    ]
    failures: dict[int, BaseException] = {}
    running = dict(enumerate(ours))
    try:
        for process, own in zip(processes, theirs, strict=True):
            process.start()
            own.close()  # so that its end is seen here
        while running and not (failures and min(failures) < min(running)):
            for one in wait(list(running.values())):
                place = ours.index(one)
                said = _said(one)
                if isinstance(said, int):
                    yield said
                    continue
                if said is not None:
                    failures[place] = said
                del running[place]
    finally:
        for process in processes:
            with suppress(ValueError, AttributeError):
                process.kill()
                process.join()
        for one in ours:
            one.close()
    if failures:
        raise failures[min(failures)]


def _said(connection: Any) -> int | BaseException | None:
    """Return what a process says: the rows that it has read, why it has failed, or nothing at its good end."""
    try:
        said: int | BaseException | None = connection.recv()
    except EOFError:
        return WorkerError(
            "a process that read the table was killed, perhaps for want of memory; give the same command again, with "
            "fewer --workers"
        )
    return said


def _read(reader: Reader, connection: Connection, threads: int) -> None:
    """Read in a process of its own, which ends with its parent."""
    from torch import set_num_threads

    ending = ends_with_parent()
    if ending is not None:
        ending()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which its parent gets, too
    set_num_threads(threads)
    try:
        for rows in reader.read():
            connection.send(rows)
        connection.send(None)
    except BaseException as error:
        connection.send(error)
