"""Reproduce a table or figure of the paper on any table of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automtl.comparison.candidates import DEFAULT, Contender, contender
from automtl.comparison.compare import DEFAULT_TERMS, Evidence, contend
from automtl.comparison.protocol import search_only, take_part
from automtl.comparison.result_store import Record
from automtl.comparison.settings import Terms
from automtl.paper.base import Reproduction
from automtl.report.reproduction import reproduction_files
from automtl.report.style import drawing
from automtl.report.text import Table
from automtl.search import published
from automtl.system.files import json_bytes, write_whole
from automtl.system.progress import Callback, ignore


@dataclass(frozen=True)
class Reproduced:
    """`values`: what NAME.json holds. `tables`: for the terminal. `files`: what was written."""

    values: Mapping[str, Any]
    tables: list[Table]
    files: list[Path]


def reproduce(
    reproduction: Reproduction,
    source: Any,
    tasks: Sequence[str] = (),
    *,
    terms: Terms = DEFAULT_TERMS,
    published_schedule: bool = False,
    out: Path | str = Path("runs/paper"),
    callback: Callback = ignore,
) -> Reproduced:
    """Run what it needs and write NAME.json, NAME.html and its pictures into `out`.

    Arguments are those of `compare_table`, whose records it keeps and reads: reproductions with one `out` share what
    they have in common, and an interrupted one goes on where it stopped. Trials serve those that train.
    `published_schedule`: searches go as in the paper, the default one by its Algorithm 1.
    """
    out, contenders = Path(out), reproduction.contenders(terms.settings)
    if published_schedule:
        terms = replace(terms, settings=replace(terms.settings, search=published(type(terms.settings.search))))
        contenders = [_published(one) for one in contenders]
    if not reproduction.trained:
        terms = replace(terms, trials=1)
    part = take_part if reproduction.trained else search_only
    with contend(source, tasks, contenders, terms, out=out, callback=callback, part=part) as evidence:
        return publish(reproduction, evidence, out)


def _published(one: Contender) -> Contender:
    """The same; one that searches in the default manner searches by Algorithm 1."""
    default = one.changes.get("strategy") == DEFAULT["strategy"]
    return replace(one, changes=one.changes | contender("algorithm-1").changes) if default else one


def publish(reproduction: Reproduction, evidence: Evidence, out: Path) -> Reproduced:
    """Write what the evidence shows."""
    failed = {finish.name: finish.entry["failed"] for finish in evidence.finishes if finish.failed}
    values = evidence.header | _words(reproduction) | {"failed": failed} | reproduction.gather(evidence)
    tables = reproduction.tables(values)
    files = {f"{reproduction.name}.json": json_bytes(values)}
    with drawing():
        drawn = reproduction_files(values, tables, list(reproduction.pictures(values)))
    files |= {name: text.encode() for name, text in drawn.items()}
    for name, content in files.items():
        write_whole(out / name, content)
    return Reproduced(values, tables, [out / name for name in files])


def _words(reproduction: Reproduction) -> Record:
    return {
        "reproduction": reproduction.name, "title": reproduction.title, "paper": reproduction.paper,
        "note": reproduction.note,
    }  # fmt: skip
