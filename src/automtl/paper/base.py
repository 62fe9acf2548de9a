"""What a reproduction is: contenders, plain values of what became of them, tables and pictures of those values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automtl.comparison.candidates import Contender, contender
from automtl.comparison.compare import Evidence
from automtl.comparison.result_store import Record
from automtl.comparison.summary import unjudged
from automtl.config import Settings
from automtl.errors import SettingsError
from automtl.report.picture import Picture
from automtl.report.text import Table, spread_text
from automtl.report.words import METRIC_NAMES, main_metric
from automtl.tables.schema import Task, TaskKind

SEARCHED = "automtl"
MARKS = {"better": "▲ better", "worse": "▼ worse", "within noise": "≈ noise"}


@dataclass(frozen=True)
class Reproduction:
    """A table or figure of the paper, on any table of rows; a file each.

    `paper`: what the paper reports there, a sentence. `trained`: contenders are tuned, trained and tested, not only
    searched. `gather`: plain values, with `sentences` that say what came out. `note`: what a reader must know.
    """

    name: str
    title: str
    paper: str
    contenders: Callable[[Settings], Sequence[Contender]]
    gather: Callable[[Evidence], Record]
    tables: Callable[[Record], list[Table]]
    pictures: Callable[[Record], Iterable[Picture]]
    note: str = ""
    trained: bool = True


def always(*names: str) -> Callable[[Settings], list[Contender]]:
    """Contenders that do not hang on the settings."""
    return lambda settings: [contender(name) for name in names]


def selecting(made: Callable[[Settings], list[Contender]]) -> Callable[[Settings], list[Contender]]:
    """Contenders that mean nothing where experts are not selected: that is a SettingsError."""

    def contenders(settings: Settings) -> list[Contender]:
        if not settings.space.selection:
            raise SettingsError("space.selection is off, so there is no selection of experts to show; set it to true")
        return made(settings)

    return contenders


def tested(evidence: Evidence) -> Record:
    """Tasks, and for each model its seeds, their mean and deviation, and its tuning, as in comparison.json."""
    return unjudged(evidence.header, evidence.finishes, SEARCHED, evidence.records, evidence.schema)


def histories(evidence: Evidence, *names: str) -> dict[str, list[Record]]:
    """Of each searched contender by seed: these values of every look, and those that hold for the whole search."""
    return {
        finish.name: [_history(seed, record["history"], names) for seed, record in
                      zip(evidence.header["seeds"], finish.searches, strict=True)]
        for finish in evidence.finishes
        if not finish.failed
    }  # fmt: skip


def _history(seed: int, history: Record, names: Sequence[str]) -> Record:
    records = [{name: record[name] for name in ("step", *names)} for record in history["records"]]
    return {"seed": seed, "warm_up": history["warm_up"], "records": records}


def quality_table(title: str, found: Record, mark: Callable[[str, str], str]) -> Table:
    """Main metric of each task and the total, mean ± deviation over seeds; `mark(model, task)` follows a value."""
    tasks = {task["name"]: main_metric(task["kind"]) for task in found["tasks"]}
    rows = []
    for name, model in found["models"].items():
        if model["seeds"]:
            values = model["summary"]["tasks"]
            cells = [
                f"{spread_text(values[task].get(metric))} {mark(name, task)}".strip() for task, metric in tasks.items()
            ]
            rows.append([name, *cells, spread_text(model["summary"]["mtl_loss"])])
    header = [f"{task} {METRIC_NAMES[metric]}" for task, metric in tasks.items()]
    return title, ["model", *header, "MTL-Loss"], rows


def count_text(values: Mapping[str, Any]) -> str:
    """Mean and standard deviation of counts, or a dash."""
    if values["mean"] is None:
        return "–"
    return f"{values['mean']:.1f}" if values["std"] is None else f"{values['mean']:.1f} ±{values['std']:.1f}"


def plain_tasks(tasks: Sequence[Task]) -> list[dict[str, str]]:
    """Names and kinds."""
    return [{"name": task.name, "kind": "binary" if task.kind is TaskKind.BINARY else "regression"} for task in tasks]


def numbers(values: Iterable[Any]) -> list[float]:
    """Without those that are undefined."""
    return [float(value) for value in values if value is not None and not isinstance(value, Mapping)]
