"""The content of a model card: what a model is, of which data, how good, for what, and what nobody has tested.

All of it is made from the plain values of a run folder; texts are raw, and escaped where they are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from automtl.report.architecture import describe
from automtl.report.baselines import baseline_table, baselines
from automtl.report.run import RunValues, fields_by_kind
from automtl.report.text import freshness_rows, used_metrics
from automtl.report.words import METRIC_NAMES, amount, known, main_metric, percent, rounded, seconds, signed, size

FEW = 100  # rows of the rarer label on test rows, below which a metric says little
SHOWN = 20  # names in a list
Z = 1.96  # standard errors of a 95 % interval


@dataclass(frozen=True)
class Grid:
    """A table: its title, the names of its columns, and rows of texts."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A part of the card: sentences, points, tables and commands, in this order."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    commands: tuple[str, ...] = ()


def card_title(run: RunValues) -> str:
    """Return the title of the card."""
    return f"Model card: {listed(run.tasks)}"


def card_sections(run: RunValues) -> list[Section]:
    """Return the parts of the card, in order."""
    return [_use(run), _data(run), _metrics(run), _limits(run), _model(run), _training(run), _versions(run)]


def _use(run: RunValues) -> Section:
    kinds = {True: "the probability that the label is 1", False: "the expected value"}
    outputs = (f"{task['name']}: {kinds[_is_binary(task)]}" for task in run.schema["tasks"])
    said = (
        "The model scores rows that are like those of its table: the same columns, of the same source, of a time soon "
        "after them. It is made to rank such rows and to estimate rates over many of them.",
        "It was learned from what was logged. It does not tell what would happen if something else had been shown, and "
        "it was not tested for decisions about single persons.",
    )
    commands = ("automtl predict MODEL rows.parquet --out scores.parquet", "automtl serve MODEL")
    return Section("Intended use", said, tuple(outputs), commands=commands)


def _data(run: RunValues) -> Section:
    schema, table = run.schema, run.metrics.get("table") or {}
    origin = run.settings.get("table") or {}
    path = origin.get("path")
    points = [f"table: {PurePath(path).name if path else 'given in memory'}" + _after(", digest", origin.get("digest"))]
    if table.get("period"):
        points.append(f"period: {table['period'][0]} to {table['period'][1]} (column '{schema.get('time')}')")
    points.append(f"rows were split {_split(run)}")
    points += [f"{title}: {listed(names)}" for title, names in fields_by_kind(schema)]
    for role in ("time", "group", "weight"):
        points += [f"{role} column: {schema[role]}"] if schema.get(role) else []
    if schema.get("outcomes"):
        points.append(f"outcome columns, known only afterwards, for histories alone: {listed(schema['outcomes'])}")
    if table.get("left_out"):
        points.append(f"columns of the table that the model does not use: {listed(table['left_out'])}")
    header = ("rows", "count", *(f"mean of {task}" for task in run.tasks))
    found = [one for one in run.metrics.get("findings") or () if one["level"] == "warning"]
    checks = tuple(f"the data check '{one['check']}' warns: '{one['column']}' {one['evidence']}" for one in found)
    return Section("Data", (), (*points, *checks), (Grid("rows and labels", header, tuple(_labels(run))),))


def _split(run: RunValues) -> str:
    if run.schema.get("split"):
        return f"by column '{run.schema['split']}'"
    split = run.settings.get("split") or {}
    shares = " / ".join(f"{share:.0%}" for share in split.get("shares", ()))
    words = {"random": "at random", "time": "by time, the newest rows are test rows", "user": "by user"}
    return words.get(split.get("method", ""), "in a way that was not recorded") + _after(",", shares)


def _labels(run: RunValues) -> Iterator[tuple[str, ...]]:
    """Yield the number of rows of each part, and the mean label of each task."""
    for part, count in run.metrics["rows"].items():
        means = (run.curves.get("labels", {}).get(part, {}).get(task["name"], {}).get("mean") for task in _tasks(run))
        shown = (percent(one) if _is_binary(task) else rounded(one) for task, one in zip(_tasks(run), means))
        yield (part, amount(count), *shown)


def _metrics(run: RunValues) -> Section:
    test, tasks = run.metrics["test"], run.metrics["test"]["tasks"]
    said = [
        "On test rows, which no choice has seen. Intervals of 95 % are of AUC on these rows (Hanley and McNeil, 1982); "
        "they take rows as independent, which rows of one user are not, and say nothing of another training."
    ]
    used = used_metrics(tasks.values())
    rows = tuple(
        (task, *(_cell(run, task, name, values.get(name)) for name in used), amount(values["rows"]))
        for task, values in tasks.items()
    )
    grids = [Grid(f"test rows, MTL-Loss {rounded(test['mtl_loss'])}", ("task", *map(_named, used), "rows"), rows)]
    held = baselines(run.schema["tasks"], run.leaderboard, tasks)
    if len(held) > 1:
        header, cells = baseline_table(run.schema["tasks"], held)
        grids.append(Grid("beside other models, test rows", tuple(header), tuple(map(tuple, cells))))
    if run.steps:
        grids.append(_steps(run))
    if run.metrics.get("freshness"):
        header, cells = freshness_rows(run.metrics["freshness"])
        grids.append(Grid("by the delay after which labels are known", tuple(header), tuple(map(tuple, cells))))
    group = run.schema.get("group")
    said.append(
        f"GAUC is the AUC within the groups of column '{group}'." if group
        else "There is no group column: how good the model is within a user or a segment was not measured."
    )  # fmt: skip
    return Section("Metrics", tuple(said), grids=tuple(grids))


def _cell(run: RunValues, task: str, name: str, value: Any) -> str:
    """Write a metric, with its interval if it is an AUC."""
    interval = auc_interval(value, *_classes(run, task)) if name == "auc" and known(value) else None
    return (
        rounded(value) if interval is None else f"{rounded(value)} ({rounded(interval[0])} to {rounded(interval[1])})"
    )


def auc_interval(auc: float, positives: float, negatives: float) -> tuple[float, float] | None:
    """Return the 95 % interval of an AUC of so many rows; None where there are none (Hanley and McNeil, 1982)."""
    if min(positives, negatives) < 1:
        return None
    both = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (both[0] - auc**2) + (negatives - 1) * (both[1] - auc**2)
    error = Z * math.sqrt(max(spread, 0.0) / (positives * negatives))
    return max(auc - error, 0.0), min(auc + error, 1.0)


def _classes(run: RunValues, task: str) -> tuple[float, float]:
    """Return the number of test rows with label 1 and with label 0."""
    found = run.curves.get("labels", {}).get("test", {}).get(task) or {}
    rows, mean = found.get("rows") or 0, found.get("mean") or 0.0
    return round(rows * mean), round(rows * (1 - mean))


def _steps(run: RunValues) -> Grid:
    """Make a table of the steps of the fit: the main metric after each, and its gain with the interval."""

    def cell(step: Mapping[str, Any], task: str) -> str:
        gain = (step.get("gain") or {}).get(task)
        if not gain:
            return rounded(step["test"][task])
        ends = f", {signed(gain['low'])} to {signed(gain['high'])}" if "low" in gain else ""
        return f"{rounded(step['test'][task])} ({signed(gain['mean'])}{ends})"

    rows = tuple((str(step["name"]), *(cell(step, task) for task in run.tasks)) for step in run.steps)
    names = (f"{task['name']}: {_named(main_metric(task.get('kind', 'binary')))}" for task in _tasks(run))
    return Grid("what each step gave, with 95 % of a paired bootstrap", ("after", *names), rows)


def _limits(run: RunValues) -> Section:
    """List what is known to be weak, and what was not tested."""
    points = [f"on the data: '{one['column']}' {one['evidence']}" for one in run.metrics.get("findings") or ()
              if one["check"] in ("unseen", "drift", "seen once") and one["level"] != "warning"]  # fmt: skip
    for task in _tasks(run):
        fewer = min(_classes(run, task["name"]))
        if _is_binary(task) and 0 < fewer < FEW:
            points.append(
                f"task '{task['name']}': only {amount(fewer)} test rows have the rarer label, its AUC says little"
            )
    if (
        run.schema.get("time")
        and (run.settings.get("split") or {}).get("method") == "random"
        and not run.schema.get("split")
    ):
        points.append("rows were split at random although they have times: on later rows the model will be worse")
    if run.schema.get("history"):
        points.append("histories need the log: without later events (automtl update) the model knows less day by day")
    if run.metrics.get("ended_early"):
        points.append("its training ended early, at a time limit or when it was stopped")
    points += [
        "choices (inputs, architecture, weights) were made on validation rows, whose metrics are too good for that",
        "one seed: how much another training would differ was not measured; automtl compare does",
        "not tested: segments of users or items, fairness between them, attempts to deceive it, rows of other sources, "
        "what its use would change in the log",
    ]  # fmt: skip
    return Section("Limits", points=tuple(points))


def _model(run: RunValues) -> Section:
    weights = (run.metrics.get("ensemble") or {}).get("weights") or {}
    rows = []
    for one in run.model["members"]:
        own = (percent(weights.get(task, {}).get(one["name"])) if weights else "100 %" for task in run.tasks)
        rows.append((str(one["name"]), str(one["model"]), _inputs(one, run.schema), *own))
    said = [f"{amount(run.metrics['parameters'])} parameters (weights, or thresholds and leaves of trees)."]
    if run.architecture:
        said.append(describe(run.architecture, run.tasks))
    header = ("model", "kind", "inputs besides the row's own", *(f"weight for {task}" for task in run.tasks))
    return Section(
        "Architecture", tuple(said), grids=(Grid("models, and their weights in the score", header, tuple(rows)),)
    )


def _inputs(member: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """List the groups of inputs that a member has, as far as the table has them."""
    groups, history = member.get("inputs") or {}, schema.get("history") or {}
    there = {
        "target_encoding": bool(schema.get("target_encoding")) and not history, "history": bool(history),
        "sequences": bool(history and history.get("sequence")),
    }  # fmt: skip
    named = {"target_encoding": "target encodings", "history": "histories", "sequences": "events one by one"}
    return ", ".join(words for name, words in named.items() if groups.get(name) and there[name]) or "none"


def _training(run: RunValues) -> Section:
    times = run.metrics.get("seconds") or {}
    budget = run.settings.get("budget") or {}
    points = [f"{name}: {seconds(value)}" for name, value in times.items() if value]
    points += (
        [f"budget: preset {budget['preset']}" + _after(", time limit", seconds(budget.get("time_limit")))]
        if budget
        else []
    )
    points += [f"seed {run.metrics['seed']}"] if "seed" in run.metrics else []
    points += [f"peak memory {size(run.metrics['peak_memory_bytes'])}"] if run.metrics.get("peak_memory_bytes") else []
    points += [f"{len(run.leaderboard)} models are on its leaderboard"] if run.leaderboard else []
    return Section("Training", points=(*points, *_lineage(run)))


def _lineage(run: RunValues) -> Iterator[str]:
    """Yield where a refitted or distilled model comes from."""
    refit, distilled = run.history.get("refit"), run.history.get("distillation")
    if refit:
        how = "from its weights" if refit["warm"] else "from the start"
        yield f"refit number {refit['number']} of {PurePath(refit['from']).name}, {how}, at {refit['at']}"
        yield from (f"against the refit: {reason}" for reason in (run.metrics.get("refit") or {}).get("reasons", ()))
    if distilled:
        yield f"distilled from the ensemble {PurePath(distilled['from']).name}"


def _versions(run: RunValues) -> Section:
    points = (
        f"written by automtl {run.version}; Predictor.load of that version reads it",
        "automtl is licensed under the Apache License 2.0; the licence of the data is not known to it",
    )
    return Section("Versions and licence", points=points)


def listed(names: Sequence[str]) -> str:
    """List names, and count those beyond some."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more


def _tasks(run: RunValues) -> list[Mapping[str, Any]]:
    return list(run.schema["tasks"])


def _is_binary(task: Mapping[str, Any]) -> bool:
    return bool(task.get("kind", "binary") == "binary")


def _named(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric)


def _after(words: str, value: Any) -> str:
    """Write words and a value, or nothing without one."""
    return f"{words} {value}" if value and value != "–" else ""
