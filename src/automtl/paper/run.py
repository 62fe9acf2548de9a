"""Reproduce a table or figure of the paper on any table of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automtl.comparison.candidates import Candidate, find_candidate
from automtl.comparison.compare import DEFAULT_SETTINGS, ComparisonSettings, run_comparison
from automtl.comparison.summary import Comparison
from automtl.paper.base import SEARCHED, Reproduction
from automtl.report.folder import reproduction_files
from automtl.report.style import drawing
from automtl.report.text import Table
from automtl.system.files import json_bytes, write_whole
from automtl.system.progress import Callback, ignore


@dataclass(frozen=True)
class Reproduced:
    """A finished reproduction. `values`: content of NAME.json; `tables`: for the terminal; `files`: all written."""

    values: Mapping[str, Any]
    tables: list[Table]
    files: list[Path]


def reproduce(
    reproduction: Reproduction,
    source: Any,
    tasks: Sequence[str] = (),
    *,
    settings: ComparisonSettings = DEFAULT_SETTINGS,
    published_schedule: bool = False,
    out: Path | str = Path("runs/paper"),
    callback: Callback = ignore,
) -> Reproduced:
    """Run the comparison that a reproduction needs, and write NAME.json, NAME.html and pictures into `out`.

    Arguments are those of `compare_table`. Reproductions with the same `out` share trials, and an interrupted one goes
    on where it stopped. Only reproductions that train use `trials`.
    `published_schedule`: search as in the paper, by its Algorithm 1 in place of the default strategy.

    >>> from automtl.paper import find_reproduction
    >>> find_reproduction("figure6").name
    'FIGURE6'
    """
    out, candidates = Path(out), reproduction.candidates(settings.settings)
    if published_schedule:
        settings = replace(settings, settings=settings.settings.with_published_search())
        candidates = [as_published(candidate) for candidate in candidates]
    if not reproduction.trains:
        settings = replace(settings, trials=1)
    with run_comparison(
        source, tasks, candidates, settings, out=out, callback=callback, trains=reproduction.trains
    ) as comparison:
        return write_reproduction(reproduction, comparison, out)


def as_published(candidate: Candidate) -> Candidate:
    """Return the candidate with Algorithm 1 of the paper in place of its cheaper form."""
    cheaper = candidate.changes.get("strategy") == SEARCHED
    changes = find_candidate("algorithm-1").changes if cheaper else {}
    return replace(candidate, changes=candidate.changes | changes)


def write_reproduction(reproduction: Reproduction, comparison: Comparison, out: Path) -> Reproduced:
    """Write the values, page and pictures of a reproduction from the results of its comparison."""
    failed = {result.name: result.entry["failed"] for result in comparison.results if result.failed}
    about = {name: getattr(reproduction, name) for name in ("title", "paper", "note")}
    values = comparison.header | about | {"reproduction": reproduction.name, "failed": failed}
    values |= reproduction.gather(comparison)
    values.pop("made", None)  # files are the same on any day
    tables = reproduction.tables(values)
    with drawing():
        files = reproduction_files(values, tables, list(reproduction.pictures(values)))
    files = {f"{reproduction.name}.json": json_bytes(values).decode()} | files
    for name, content in files.items():
        write_whole(out / name, content)
    return Reproduced(values, tables, [out / name for name in files])
