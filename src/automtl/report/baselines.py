"""Hold a model's metrics on test rows against a guess, the reference network, trees alone and one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automtl.report.words import METRIC_NAMES, clean, known, main_metric, rounded

Values = Mapping[str, Any]
GUESS = {"auc": 0.5}  # what always answering the base rate gives, where that is known
KINDS = {  # stages of a leaderboard in words; the best of each on validation rows is shown
    "inputs": "reference network", "boosted trees": "boosted trees alone", "search": "best network",
    "training": "best network", "single network": "best network",
}  # fmt: skip


@dataclass(frozen=True)
class Baseline:
    """A model, or a guess, with the main metric of each task on test rows, None where that is not known."""

    name: str
    what: str
    values: Mapping[str, float | None]


def baselines(tasks: Sequence[Values], leaderboard: Sequence[Values], test: Values) -> list[Baseline]:
    """Return what the model is held against, then the model itself. `test`: its metrics on test rows by task.

    `leaderboard`: all models that were trained, best first on validation rows. A model that is alone stands once.
    """
    names = [task["name"] for task in tasks]
    guess = {task["name"]: GUESS.get(_metric(task)) for task in tasks}
    found = [Baseline("a guess", "", guess)] if any(guess.values()) else []
    best: dict[str, Baseline] = {}
    for row in leaderboard:
        stage = row.get("stage") or ""
        kind = clean(row["name"]) if stage == "baseline" else KINDS.get(stage)
        if kind and row.get("test"):
            values = {name: _known(row["test"].get(name)) for name in names}
            best.setdefault(kind, Baseline(kind, clean(row["name"]), values))
    found += [best[kind] for kind in dict.fromkeys([*KINDS.values(), *best]) if kind in best]
    own = {task["name"]: _known(test[task["name"]].get(_metric(task))) for task in tasks}
    return [*found, Baseline("this model", "", own)]


def baseline_table(tasks: Sequence[Values], found: Sequence[Baseline]) -> tuple[list[str], list[list[str]]]:
    """Return header and a row for each task."""
    rows = [
        [f"{clean(task['name'])}: {METRIC_NAMES.get(_metric(task), _metric(task))}",
         *(rounded(one.values[task["name"]]) for one in found)]
        for task in tasks
    ]  # fmt: skip
    return ["task", *(one.name for one in found)], rows


def baseline_note(found: Sequence[Baseline]) -> str:
    """Say which models these are."""
    return "; ".join(f"{one.name}: {one.what}" for one in found if one.what)


def baseline_words(task: str, found: Sequence[Baseline]) -> str:
    """Say what the others have on a task: 'a guess 0.5000, boosted trees alone 0.7421'."""
    return ", ".join(f"{one.name} {rounded(one.values[task])}" for one in found[:-1] if one.values[task] is not None)


def _metric(task: Values) -> str:
    return main_metric(task.get("kind", "binary"))


def _known(value: Any) -> float | None:
    return value if known(value) else None
