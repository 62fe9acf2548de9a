"""Prepare a table of any size as a folder; a preparation that was stopped goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from automtl._version import __version__
from automtl.config import Settings, checked_seed
from automtl.dataset.builder.pipeline import Preparation, Spread
from automtl.dataset.builder.workdir import RUNS, Work, machine_start
from automtl.dataset.prepared import Origin, PreparedFolder, finish_prepared
from automtl.dataset.settings import MEMORY_SHARE, machine_memory_bytes
from automtl.dataset.stored import require_free, store, working_folder
from automtl.distributed.cluster import joined
from automtl.errors import FileError, SchemaError, SettingsError
from automtl.experiment.source import check_schema
from automtl.system.address import is_address, shown, without_file
from automtl.system.files import LOCK, json_bytes, locked, remove_at_once, write_whole
from automtl.system.manifest import PREPARED
from automtl.system.progress import Callback, Event, ignore
from automtl.system.threads import in_order
from automtl.tables.columns import ColumnRoles, resolve_schema
from automtl.tables.history_text import tell_history
from automtl.tables.quality import Finding, Findings, check_quality
from automtl.tables.reading.files import TableFiles
from automtl.tables.schema import Schema
from automtl.tables.split import check_method, split_table
from automtl.tables.values.ids import TEXTS
from automtl.training.sampling import sample_parts

CHUNK_ROWS = 1 << 18  # rows that are read at a time
SAMPLE_ROWS = 400_000  # rows from which a schema is inferred, and which are checked


def prepare_table(
    source: str,
    tasks: Sequence[str] = (),
    *,
    out: Path | str,
    roles: ColumnRoles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    overwrite: bool = False,
    memory_bytes: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    workers: int | None = None,
    address: str | None = None,
    callback: Callback = ignore,
) -> PreparedFolder:
    """Encode a table of files in bounded memory, and write the folder `out`, which `fit` and other commands read.

    `memory_bytes`: about the memory that it may use; by default a quarter of the machine's. A sample of rows is
    checked; without a schema, one is inferred from it. `callback` gets a `Notice`, `Findings` and `Progress`. A folder
    beside `out` keeps what is done; if the call is stopped, the same call goes on from there. Raises FileError if that
    folder belongs to another job or a running process, or if `out` holds something that must not be replaced.
    `workers`: processes that read the files at the same time, one if not given. `address`: of a Ray cluster whose nodes
    encode the rows, for which they have to see the folder of `out`, and are these processes, if they see the files.

    >>> automtl.synthetic_log(rows=500, seed=0).write_parquet("log.parquet")
    >>> automtl.prepare_table("log.parquet", ["click", "buy"], out="prepared").num_rows["train"]
    350
    """
    settings, roles = settings or Settings(), roles or ColumnRoles()
    if is_address(out):
        return _stored(
            str(out),
            overwrite,
            address,
            partial(
                prepare_table,
                source,
                tasks,
                roles=roles,
                schema=schema,
                settings=settings,
                seed=seed,
                memory_bytes=memory_bytes,
                chunk_rows=chunk_rows,
                workers=workers,
                callback=callback,
            ),
        )
    out = Path(without_file(out))
    if address is not None:
        out = out.absolute()  # nodes have other working folders
    PREPARED.require_free(out, overwrite)
    seed = checked_seed(seed)
    opened = TableFiles.open(source)
    table, resolved = _sample(opened, tasks, roles, schema)
    tell_history(callback, resolved, roles, schema)
    schema = resolved
    _check_types(opened, schema, settings)
    memory = memory_bytes or machine_memory_bytes() // MEMORY_SHARE
    plan = _plan(opened, schema, settings, seed, chunk_rows, memory)
    thin = partial(sample_parts, tasks=schema.tasks, share=schema.negative_share, seed=seed)
    with _spreading(address, workers) as (spread, readers), _working(out, plan, anew=overwrite) as folder:
        with _beside(partial(_findings, table, schema, settings, seed, roles.drop), callback) as (checks, watched):
            del table  # before the memory is needed
            job = Preparation(
                opened, schema, settings.encoder, settings.split, seed, Work(folder), chunk_rows, memory, watched, thin,
                spread, min(readers, RUNS), address is not None,
            )  # fmt: skip
            encoder, report = job.run()
        if (findings := checks.result()) is not None:
            report["findings"] = [finding.to_dict() for finding in findings]
        origin = Origin(_described(opened, roles), settings.split, seed)
        return finish_prepared(folder / "encoded", out, encoder, origin, report, overwrite=overwrite)


def _stored(out: str, overwrite: bool, address: str | None, prepare: Callable[..., PreparedFolder]) -> PreparedFolder:
    """Prepare a table here and write it to object storage. Raises StorageError."""
    if address is not None:
        raise SettingsError(f"--address '{address}': its nodes have to see --out; give a folder, not '{shown(out)}'")
    require_free(out, overwrite)
    working = working_folder(out)
    working.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(working, ignore_errors=True)  # complete, but not written
    store(prepare(out=working, overwrite=overwrite).folder, out, overwrite=overwrite)
    return PreparedFolder.open(out)


@contextmanager
def _spreading(address: str | None, workers: int | None) -> Iterator[tuple[Spread, int]]:
    """Give what lets chunks be encoded at once, threads or the nodes of a cluster, and the number of readers."""
    if address is None:
        yield in_order, workers or 1
        return
    with joined(address) as cluster:
        if workers is not None:
            cluster.require(workers, "--workers")
        yield cluster.in_order, workers or 1


def _sample(
    source: TableFiles, tasks: Sequence[str], roles: ColumnRoles, schema: Schema | None
) -> tuple[pl.DataFrame, Schema]:
    """Read rows spread over the files, and give the schema, inferred from them if there is none."""
    pieces = source.sample(SAMPLE_ROWS)
    table = source.joined(pieces)
    with source.located(pieces):
        schema = resolve_schema(table, tasks, roles, schema)
        check_schema(table, schema)
    return table, schema


def _described(source: TableFiles, roles: ColumnRoles) -> dict[str, Any]:
    """Names and sizes of the files, and the columns, as the prepared folder tells them; neither day nor place.

    The digest of the folder covers them, and the same table is to have the same one.
    """
    files = [{"name": part.file.name, "bytes": part.file.size} for part in source.parts]
    return {"files": files, "columns": len(source.columns), "dropped": list(roles.drop)}


def _check_types(source: TableFiles, schema: Schema, settings: Settings) -> None:
    """Raise SchemaError for mistakes that show before any row is read."""
    for task in schema.tasks:
        for part in source.parts:
            dtype = part.columns[task.name]
            if part.rows != 0 and not dtype.is_numeric() and dtype not in (pl.Boolean, pl.Null, *TEXTS):
                raise SchemaError(f"task '{task.name}': values must be numbers, '{part.file}' holds {dtype}")
    check_method(schema, settings.split)


def _findings(
    sample: pl.DataFrame, schema: Schema, settings: Settings, seed: int, dropped: Collection[str]
) -> tuple[Finding, ...] | None:
    """Check the data; None if the sample lacks rows of a part, or has too few labels, to be checked."""
    try:
        return check_quality(split_table(sample, schema, settings.split, seed), schema, seed, dropped)
    except SchemaError:
        return None  # mistakes in the table itself are reported once all of it has been read


@contextmanager
def _beside(
    check: Callable[[], tuple[Finding, ...] | None], callback: Callback
) -> Iterator[tuple[Future[tuple[Finding, ...] | None], Callback]]:
    """Run the check in a thread beside the block; gives a callback that also reports findings once they are there."""
    with ThreadPoolExecutor(1) as pool:
        checks, reported = pool.submit(check), False
        del check  # and the sample with it, when it is done

        def report() -> None:
            nonlocal reported
            if not reported:
                reported = True
                callback(Findings(checks.result() or ()))

        def watched(event: Event) -> None:
            if checks.done():
                report()
            callback(event)

        yield checks, watched
        report()


def _plan(source: TableFiles, schema: Schema, settings: Settings, seed: int, rows: int, memory: int) -> dict[str, Any]:
    """Describe a job; a job with another plan is another job."""
    return {
        "automtl": __version__,
        "form of the working folder": 8,
        "files": [part.identity for part in source.parts],
        "schema": schema.to_dict(),
        "encoder": asdict(settings.encoder),
        "split": asdict(settings.split),
        "seed": seed,
        "rows of a chunk": rows,
        "memory": memory,
    }


@contextmanager
def _working(out: Path, plan: dict[str, Any], anew: bool) -> Iterator[Path]:
    """Give the folder beside `out` that holds what is done so far; it is removed if the block ends well."""
    folder = out.with_name(f".{out.name}.prepare")
    try:
        with locked(folder):
            _begin(folder, json.loads(json.dumps(plan)), anew)
            yield folder
        remove_at_once(folder)
    except OSError as error:
        raise FileError(
            f"'{error.filename or folder}' cannot be read or written: {error.strerror or error}; "
            "the same command goes on where it stopped"
        ) from None


def _begin(folder: Path, plan: dict[str, Any], anew: bool) -> None:
    """Empty the folder unless an earlier run of the same job, since the machine's last start, has begun it.

    Raises FileError if the folder belongs to another job, unless the job is to begin `anew`.
    """
    place, started = folder / "plan.json", machine_start()
    if place.is_file():
        found = json.loads(place.read_text(encoding="utf-8"))
        other = [name for name, value in plan.items() if found["plan"].get(name) != value]
        if not other and found["started"] == started:
            return
        if other and not anew:
            raise FileError(
                f"'{folder}' holds an unfinished preparation that differs in its {other[0]}; give its command again, "
                "or begin anew with --overwrite"
            )
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "chunks").mkdir()
    write_whole(place, json_bytes({"plan": plan, "started": started}))
