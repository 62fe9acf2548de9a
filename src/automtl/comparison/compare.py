"""Compare the searched model with others under equal conditions."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from automtl._version import __version__
from automtl.comparison.candidates import CANDIDATES, Candidate, CandidateResult, find_candidate
from automtl.comparison.process_pool import HANG_AFTER, ProcessPool
from automtl.comparison.protocol import Plan, Protocol, complete_all
from automtl.comparison.ray_pool import RayPool
from automtl.comparison.result_store import ResultStore
from automtl.comparison.scheduler import Scheduler
from automtl.comparison.summary import Comparison
from automtl.comparison.trials import IRRELEVANT, Trial, WorkerContext, run_trial, start_worker
from automtl.config import Settings
from automtl.dataset.settings import DataLoaderSettings
from automtl.distributed.cluster import Cluster, joined
from automtl.errors import SettingsError, suggestion
from automtl.experiment.fit import check_settings
from automtl.experiment.inputs import distinct_presets
from automtl.experiment.provenance import describe_making, describe_table
from automtl.experiment.source import FolderSource, Source, open_source, tell_source
from automtl.models.registry import EVERY_MODEL
from automtl.report.folder import attempted, comparison_report
from automtl.report.run import field_lines
from automtl.system.address import is_address, name_of, without_file
from automtl.system.files import json_bytes, locked, write_whole
from automtl.system.manifest import COMPARISON
from automtl.system.progress import Callback, ignore
from automtl.tables.columns import ColumnRoles
from automtl.tables.quality import Finding, Findings
from automtl.tables.schema import Schema
from automtl.tables.table import read_table

PAPER = ("automtl", "single-task", "shared-bottom", "mmoe", "cgc", "ple")
STRONG = ("automtl", "shared-bottom", "mmoe", "ple", "deep-cross", "tabm", "lightgbm", "catboost")
DEFAULT_MODELS = ("strong",)
Value = TypeVar("Value")


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings that all candidates of a comparison share. `seeds`: the seeds, or how many from 0 on.

    `trials`: hyperparameters tried for each candidate. `jobs`: processes, one a core if None. `overwrite`: discard
    results of an earlier comparison in the folder. `hang_after`: seconds without any progress after which a process
    counts as hanging and is ended; its trial has then failed. `address`: of a Ray cluster on whose nodes trials run;
    they have to see the table, and `jobs` are CPUs of the cluster.

    >>> automtl.ComparisonSettings(seeds=2, trials=1, jobs=2).seeds
    2
    """

    roles: ColumnRoles = field(default_factory=ColumnRoles)
    schema: Schema | None = None
    settings: Settings = field(default_factory=Settings)
    seeds: int | Sequence[int] = 5
    trials: int = 6
    jobs: int | None = None
    split_seed: int = 0
    overwrite: bool = False
    hang_after: float = HANG_AFTER
    address: str | None = None


DEFAULT_SETTINGS = ComparisonSettings()


def compare_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    models: Sequence[str] = DEFAULT_MODELS,
    settings: ComparisonSettings = DEFAULT_SETTINGS,
    reference_model: str | None = None,
    out: Path | str = Path("runs/comparison"),
    callback: Callback = ignore,
) -> dict[str, Any]:
    """Tune and train candidates under equal conditions, and return the values that `comparison.json` holds.

    All seeds share one split; candidates are tuned on validation rows. An interrupted comparison goes on where it
    stopped if it is called again with the same table, schema and settings; models, seeds and trials may be added.
    `callback` gets a `Notice` of histories and `Findings` of the data checks before anything is trained, then
    `ComparisonProgress`. A model that fails is reported in its entry (`failed`) and leaves the others alone.

    New processes import the calling script, so it needs `if __name__ == "__main__":`.

    >>> log, quick = automtl.synthetic_log(rows=500, seed=0), {"presets": [], "training": {"epochs": 1}}
    >>> settings = automtl.ComparisonSettings(settings=automtl.read_settings(None, quick), seeds=1, trials=1, jobs=1)
    >>> found = automtl.compare_table(log, ["click"], models=["mmoe", "ple"], settings=settings, out="runs/comparison")
    >>> sorted(found["models"])
    ['mmoe', 'ple']
    """
    names, out = resolve_models(models), Path(out)
    if reference_model is not None and reference_model not in names:
        raise SettingsError(
            f"--reference-model '{reference_model}' is not compared{suggestion(reference_model, names)}"
        )
    candidates = [find_candidate(name) for name in names]
    with run_comparison(source, tasks, candidates, settings, out=out, callback=callback) as comparison:
        found = comparison.judged(reference_model)
        write_whole(out / "comparison.json", json_bytes(found))
        for name, page in attempted(lambda: comparison_report(found), "the comparison is").items():
            write_whole(out / name, page)
    return found


@contextmanager
def run_comparison(
    source: Any,
    tasks: Sequence[str],
    candidates: Sequence[Candidate],
    settings: ComparisonSettings,
    *,
    out: Path,
    callback: Callback = ignore,
    trains: bool = True,
) -> Iterator[Comparison]:
    """Run the protocol of every candidate, keeping all results in `out`, which is locked until the block ends.

    `trains`: candidates are tuned, trained and tested, not only searched. Other arguments are those of `compare_table`.
    Raises FileError if another process works in the folder.
    """
    base, plan = settings.settings, Plan(_seeds(settings.seeds), settings.trials, trains)
    _check(candidates, base, plan)
    given = source if isinstance(source, str | Path) else read_table(source)
    rows, base = open_source(given, tasks, settings.roles, settings.schema, base, settings.split_seed, identify=True)
    tell_source(callback, rows, settings.roles, settings.schema)
    if isinstance(rows, FolderSource):
        rows.check_seed(settings.split_seed)
    store = ResultStore(out / "results")
    if isinstance(given, str | Path) and settings.address is not None:
        given = given if is_address(given) else Path(without_file(given)).absolute()  # nodes have other working folders
    context = WorkerContext(given, rows.digest, rows.schema, base.split, settings.split_seed, store)
    with _joined(settings) as cluster, locked(out):
        store.open(_identity(context, base), settings.overwrite)
        findings = rows.findings(settings.split_seed)
        callback(Findings(findings))
        results = _results(context, candidates, base, plan, settings, callback, cluster)
        yield Comparison(base, rows.schema, _header(source, rows, plan, findings, base), results, store)


def resolve_models(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of candidates, of which groups stand for several. Raises SettingsError.

    'strong': ours and the strongest rivals of each kind whose library is installed; 'paper': the paper's models; 'all'.
    """
    groups = {"strong": tuple(filter(_installed, STRONG)), "paper": PAPER, "all": tuple(CANDIDATES)}
    found = dict.fromkeys(single for name in names for single in groups.get(name, (name,)))
    for name in found:
        find_candidate(name)
    return tuple(found)


def _installed(model: str) -> bool:
    """Tell whether the library that a model needs is installed; most models need none."""
    available = getattr(EVERY_MODEL.find(model), "available", None)
    return available is None or available()


def _check(candidates: Sequence[Candidate], settings: Settings, plan: Plan) -> None:
    if not candidates:
        raise SettingsError("no model to compare; name some with --models")
    if settings.warm_start:
        raise SettingsError("warm_start: a comparison keeps no supernet to start from; set it to false")
    if plan.trials < 1:
        raise SettingsError(f"--trials {plan.trials}: expected at least 1, which is the default settings")
    for candidate in candidates:
        check_settings(candidate.settings(settings))


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not found or len(set(found)) < len(found):
        raise SettingsError(f"seeds {seeds}: expected at least one, each once")
    return found


def _identity(context: WorkerContext, settings: Settings) -> dict[str, Any]:
    """Return the plain values that the results of all trials depend on."""
    return {
        "automtl": __version__, "table content": context.table_digest,
        "split seed": context.split_seed, "schema": context.schema.to_dict(),
        "settings": settings.to_dict() | IRRELEVANT,
    }  # fmt: skip


def _header(source: Any, rows: Source, plan: Plan, findings: Sequence[Finding], settings: Settings) -> dict[str, Any]:
    name = name_of(source) if isinstance(source, str | Path) else "data frame"
    return {
        "format": COMPARISON.format, "automtl": __version__, "made": describe_making(),
        "table": describe_table(source, rows) | {"name": name, "rows": rows.num_rows},
        "settings": settings.to_dict(),
        "fields": field_lines(rows.schema.to_dict()), "findings": [finding.to_dict() for finding in findings],
        "seeds": list(plan.seeds), "trials": plan.trials,
    }  # fmt: skip


def _results(
    context: WorkerContext,
    candidates: Sequence[Candidate],
    settings: Settings,
    plan: Plan,
    given: ComparisonSettings,
    callback: Callback,
    cluster: Cluster | None,
) -> list[CandidateResult]:
    """Run all protocols; files of encoded rows lie beside the results as long as there are processes."""
    encoded = context.store.folder.parent / "encoded"

    def protocol(name: str, own: Settings) -> Protocol:
        return Protocol(name, own, distinct_presets(own, context.schema), plan, scheduler.run)

    shutil.rmtree(encoded, ignore_errors=True)
    try:
        with closing(_pool(context, settings.data_loader, encoded / "rows", given, cluster)) as pool:
            scheduler = Scheduler(pool, context.store, callback)
            protocols = [protocol(candidate.name, candidate.settings(settings)) for candidate in candidates]
            reference = protocol("inputs", replace(settings, model=settings.reference))
            return _complete(complete_all(protocols, reference, scheduler))
    finally:
        shutil.rmtree(encoded, ignore_errors=True)


@contextmanager
def _joined(given: ComparisonSettings) -> Iterator[Cluster | None]:
    """Join the cluster on which trials run, if there is one, and see that it has room for them."""
    if given.address is None:
        yield None
        return
    with joined(given.address) as cluster:
        cluster.require(given.jobs or 1, "--jobs")
        yield cluster


def _pool(
    context: WorkerContext, loader: DataLoaderSettings, beside: Path, given: ComparisonSettings, cluster: Cluster | None
) -> ProcessPool[Trial] | RayPool:
    """Return the processes that run trials: here, or on the nodes of a cluster."""
    if cluster is not None:
        return RayPool(cluster, given.jobs or cluster.cpus, context, loader, given.hang_after)
    jobs = given.jobs or os.cpu_count() or 1
    return ProcessPool(jobs, run_trial, start_worker, context, loader, beside, hang_after=given.hang_after)


def _complete(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine to its end, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(asyncio.run, work).result()
    finally:
        thread.shutdown(wait=False)  # after an interrupt the pool is closed, which ends the work
