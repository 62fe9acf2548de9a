"""A reproduction compares candidates, gathers plain values of the results, and shows them as tables and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automtl.comparison.candidates import Candidate, find_candidate
from automtl.comparison.result_store import Result
from automtl.comparison.summary import Comparison
from automtl.config import Settings
from automtl.errors import SettingsError
from automtl.report.picture import Picture
from automtl.report.text import Table, spread_text
from automtl.report.words import METRIC_NAMES, main_metric

SEARCHED = "progressive"  # the paper's search at less cost


@dataclass(frozen=True)
class Reproduction:
    """A table or figure of the paper, made from any table of rows.

    `paper`: a sentence on what the paper reports. `trains`: candidates are tuned, trained and tested, not only
    searched. `gather`: makes plain values, with `sentences` that sum up the results. `note`: how to read them.
    """

    name: str
    title: str
    paper: str
    candidates: Callable[[Settings], Sequence[Candidate]]
    gather: Callable[[Comparison], Result]
    tables: Callable[[Result], list[Table]]
    pictures: Callable[[Result], Iterable[Picture]]
    note: str = ""
    trains: bool = True


def named(*names: str) -> Callable[[Settings], list[Candidate]]:
    """Return a function that gives these candidates whatever the settings."""
    return lambda settings: [find_candidate(name) for name in names]


def selecting(made: Callable[[Settings], list[Candidate]]) -> Callable[[Settings], list[Candidate]]:
    """Add a check to a function of candidates: SettingsError where the settings select no experts."""

    def candidates(settings: Settings) -> list[Candidate]:
        if not settings.space.selects:
            raise SettingsError("space.selection is off, so there is no selection of experts to show; set it to true")
        return made(settings)

    return candidates


def search_histories(comparison: Comparison, *names: str) -> dict[str, list[Result]]:
    """Return the history of each candidate's search for each seed, with these values of every record."""

    def history(seed: int, found: Result) -> Result:
        records = [{name: record[name] for name in ("step", *names)} for record in found["records"]]
        return {"seed": seed, "warm_up": found["warm_up"], "records": records}

    return {
        result.name: list(map(history, comparison.header["seeds"], (search["history"] for search in result.searches)))
        for result in comparison.results
        if not result.failed
    }


def quality_table(found: Result, mark: Callable[[str, str], str] = lambda model, task: "") -> Table:
    """Make a table of the main metric of each task and of the total loss; `mark(model, task)` follows a value."""
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
    return "test rows, mean ± standard deviation over seeds", ["model", *header, "MTL-Loss"], rows


def summary_table(
    found: Result, columns: Mapping[str, tuple[str, Callable[[Any], str]]], names: Mapping[str, str]
) -> Table:
    """Make a table of the searches by name. `columns`: header and text of each value of the summary."""
    rows = [
        [names[name], *(text(values[key]) for key, (_, text) in columns.items())]
        for name, values in found["summary"].items()
    ]
    header = ["search", *(header for header, _ in columns.values())]
    return "searches, mean ± standard deviation over seeds", header, rows


def count_text(values: Mapping[str, Any]) -> str:
    """Write mean and standard deviation of counts, or a dash."""
    if values["mean"] is None:
        return "–"
    return f"{values['mean']:.1f}" if values["std"] is None else f"{values['mean']:.1f} ±{values['std']:.1f}"


def numbers(values: Iterable[Any]) -> list[float]:
    """Return the values that are numbers, without undefined ones."""
    return [float(value) for value in values if value is not None and not isinstance(value, Mapping)]
