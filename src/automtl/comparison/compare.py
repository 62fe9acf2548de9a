"""Compare the searched model with others under equal conditions."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automtl._version import __version__
from automtl.comparison.candidates import CONTENDERS, Contender, contender
from automtl.comparison.process_pool import working
from automtl.comparison.protocol import Course, Finish, Part, Plan, choose_inputs, take_part
from automtl.comparison.result_store import Record, Records
from automtl.comparison.scheduler import Conductor
from automtl.comparison.settings import Terms
from automtl.comparison.summary import assemble
from automtl.comparison.trials import NO_MATTER, Brief, Kind, begin, run_job
from automtl.comparison.tuning import require_tuning
from automtl.config import InputPreset, Settings
from automtl.errors import SettingsError, suggestion
from automtl.experiment.fit import check_settings
from automtl.experiment.inputs import distinct_presets
from automtl.experiment.source import FolderSource, Source, open_source
from automtl.report.folder import attempted, comparison_report
from automtl.report.run import field_lines
from automtl.system.files import json_bytes, locked, write_whole
from automtl.system.manifest import COMPARISON
from automtl.system.progress import Callback, ignore
from automtl.tables.quality import Finding, Findings
from automtl.tables.schema import Schema
from automtl.tables.table import read_table

PAPER = ("automtl", "single-task", "shared-bottom", "mmoe", "cgc", "ple")
DEFAULT_MODELS = ("automtl", "shared-bottom", "mmoe", "ple")
DEFAULT_TERMS = Terms()


@dataclass(frozen=True)
class Evidence:
    """What became of contenders. `header`: table, seeds, trials and findings, as plain values.

    `settings`: before any change.
    """

    settings: Settings
    header: Record
    finishes: list[Finish]
    records: Records
    schema: Schema


def compare_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    models: Sequence[str] = DEFAULT_MODELS,
    terms: Terms = DEFAULT_TERMS,
    reference_model: str | None = None,
    out: Path | str = Path("runs/comparison"),
    callback: Callback = ignore,
) -> dict[str, Any]:
    """Train contenders under equal conditions, tuned alike on validation rows; what `comparison.json` holds.

    All seeds share one split. A comparison that was interrupted goes on where it stopped, if it is called again with
    the same table, schema and settings; models, seeds and trials may be added.
    `callback` gets `Findings` of the data checks before anything is trained, then how far the comparison is.
    A model that fails is reported in its entry (`failed`) and leaves the others alone.

    Processes are started anew, so a script that calls this needs `if __name__ == "__main__":`.
    """
    names, out = resolve_models(models), Path(out)
    if reference_model is not None and reference_model not in names:
        raise SettingsError(
            f"--reference-model '{reference_model}' is not compared{suggestion(reference_model, names)}"
        )
    every = [contender(name) for name in names]
    with contend(source, tasks, every, terms, out=out, callback=callback) as evidence:
        found = assemble(evidence.header, evidence.finishes, reference_model, evidence.records, evidence.schema)
        write_whole(out / "comparison.json", json_bytes(found))
        for name, page in attempted(lambda: comparison_report(found), "the comparison is").items():
            write_whole(out / name, page.encode())
    return found


@contextmanager
def contend(
    source: Any,
    tasks: Sequence[str],
    contenders: Sequence[Contender],
    terms: Terms,
    *,
    out: Path,
    callback: Callback = ignore,
    part: Part = take_part,
) -> Iterator[Evidence]:
    """Contenders go through their courses (`part` makes one), as `compare_table` says; records are kept in `out`.

    For the block the folder is ours. Raises ComparisonError if another process works in it.
    """
    settings, plan = terms.settings, Plan(_seeds(terms.seeds), terms.trials)
    _check({one.name: one.settings(settings) for one in contenders}, settings, plan)
    given = source if isinstance(source, str | Path) else read_table(source)
    rows, settings = open_source(given, tasks, terms.roles, terms.schema, settings, terms.split_seed, identify=True)
    if isinstance(rows, FolderSource):
        rows.check_seed(terms.split_seed)
    chosen = {one.name: one.settings(settings) for one in contenders}
    records = Records(out / "records")
    brief = Brief(given, rows.digest, rows.schema, settings.split, terms.split_seed, records)
    with locked(out):
        brief.records.open(_identity(brief, settings), terms.overwrite)
        findings = rows.findings(terms.split_seed)
        callback(Findings(findings))
        finishes = _conduct(brief, settings, chosen, plan, part, terms.jobs or os.cpu_count() or 1, callback, out)
        yield Evidence(settings, _header(source, rows, plan, findings), finishes, brief.records, rows.schema)


def resolve_models(names: Sequence[str]) -> tuple[str, ...]:
    """Names of contenders; 'paper' stands for the paper's models, 'all' for all. Raises SettingsError."""
    groups = {"paper": PAPER, "all": tuple(CONTENDERS)}
    found = dict.fromkeys(single for name in names for single in groups.get(name, (name,)))
    for name in found:
        contender(name)
    return tuple(found)


def _check(chosen: dict[str, Settings], settings: Settings, plan: Plan) -> None:
    if not chosen:
        raise SettingsError("no model to compare; name some with --models")
    if settings.warm_start:
        raise SettingsError("warm_start: a comparison keeps no supernet to start from; set it to false")
    if plan.trials < 1:
        raise SettingsError(f"--trials {plan.trials}: expected at least 1, which is the default settings")
    for made in chosen.values():
        check_settings(made)
    require_tuning(plan.trials)


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not found or len(set(found)) < len(found):
        raise SettingsError(f"seeds {seeds}: expected at least one, each once")
    return found


def _identity(brief: Brief, settings: Settings) -> dict[str, Any]:
    """What all jobs hang on."""
    return {
        "automtl": __version__, "table content": brief.table_digest, "split seed": brief.split_seed,
        "schema": brief.schema.to_dict(), "settings": settings.to_dict() | NO_MATTER,
    }  # fmt: skip


def _header(source: Any, opened: Source, plan: Plan, findings: Sequence[Finding]) -> dict[str, Any]:
    name = Path(source).name if isinstance(source, str | Path) else "data frame"
    return {
        "format": COMPARISON.format, "automtl": __version__, "table": {"name": name, "rows": opened.num_rows},
        "fields": field_lines(opened.schema.to_dict()), "findings": [finding.to_dict() for finding in findings],
        "seeds": list(plan.seeds), "trials": plan.trials,
    }  # fmt: skip


def _conduct(
    brief: Brief,
    settings: Settings,
    chosen: dict[str, Settings],
    plan: Plan,
    part: Part,
    jobs: int,
    callback: Callback,
    out: Path,
) -> list[Finish]:
    """All jobs that have no record yet, in processes of their own."""
    presets = distinct_presets(settings, brief.schema)
    choice = choose_inputs(settings, presets, plan)

    def courses(inputs: InputPreset) -> list[Course[Finish]]:
        return [part(name, own, inputs, distinct_presets(own, brief.schema), plan) for name, own in chosen.items()]

    planned: Counter[tuple[str, Kind]] = Counter()
    every: list[Course[Any]] = [choice, *courses(presets[0])]
    for course in every:
        planned.update({(course.name, kind): count for kind, count in course.planned.items()})
    encoded = out / "encoded"
    threads = max((os.cpu_count() or 1) // jobs, 1)
    shutil.rmtree(encoded, ignore_errors=True)
    try:
        with working(jobs, threads, run_job, begin, (brief, settings.data_loader, encoded / "rows")) as workers:
            conductor = Conductor(workers, brief.records, callback, planned)
            (inputs,) = conductor.conduct([choice])
            return conductor.conduct(courses(inputs))
    finally:
        shutil.rmtree(encoded, ignore_errors=True)
