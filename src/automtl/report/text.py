"""Tables of text of runs and comparisons, for the terminal and, in part, for pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from statistics import fmean
from typing import Any

from automtl.report.words import (
    LEAST,
    METRIC_NAMES,
    clean,
    known,
    milliseconds,
    plain,
    reason,
    rounded,
    scaled,
    seconds,
    size,
)
from automtl.training.metrics import NEEDED

DIGEST = 12  # characters of a digest that are shown
Table = tuple[str, list[str], list[list[str]]]  # title, header, rows
Values = Mapping[str, Any]


def used_metrics(tables: Iterable[Values]) -> list[str]:
    """Return the names of metrics that have a value in some table: the library's in their order, then others."""
    listed = list(tables)
    names = dict.fromkeys([*METRIC_NAMES, *(name for values in listed for name in values if name != "rows")])
    return [name for name in names if any(known(values.get(name)) for values in listed)]


def metric_rows(metrics: Values) -> tuple[list[str], list[list[str]]]:
    """Return header and one row for each task, with the metrics that some task has; an undefined one is a dash."""
    tasks = metrics["tasks"]
    used = used_metrics(tasks.values())
    return ["task", *used], [[task, *(rounded(values.get(name)) for name in used)] for task, values in tasks.items()]


def gap_rows(gaps: Iterable[Values]) -> tuple[list[str], list[list[str]]]:
    """Return header and one row for each column that was known at fit and is unknown or missing now."""
    cells = [[gap["column"], gap["kind"], *(f"{gap[when]:.2%}" for when in ("now", "at_fit"))] for gap in gaps]
    return ["column", "values are", "now", "at fit"], cells


def made_lines(table: Values, made: Values) -> list[str]:
    """Say of which table and by what a result was made; nothing of folders that do not tell."""
    lines = []
    if table:
        name = table.get("name") or (PurePath(table["path"]).name if table.get("path") else "a table in memory")
        rows = table.get("rows")
        count = sum(rows.values()) if isinstance(rows, Mapping) else rows
        parts = [f"{count:,} rows"] if count else []
        parts += [f"{table['columns']:,} columns"] if table.get("columns") else []
        parts += [f"digest {str(table['digest'])[:DIGEST]}"] if table.get("digest") else []
        lines.append(f"Table: {', '.join([clean(str(name)), *parts])}.")
        if table.get("path"):
            lines.append(f"Path: {table['path']}")
        if table.get("dropped"):
            lines.append(f"Dropped columns: {', '.join(map(clean, table['dropped']))}.")
    if made:
        threads = "1 thread" if made["threads"] == 1 else f"{made['threads']} threads"
        lines.append(
            f"Made on {made['date']} by automtl {made['automtl']} (torch {made['torch']}, Python {made['python']}) on "
            f"{made['machine']}, {threads}{_by_workers(made.get('workers') or [])}."
        )
        lines += [f"Command: {made['command']}"] if made.get("command") else []
    return lines


def _by_workers(counts: Sequence[int]) -> str:
    """Say how many workers trained together, one number after another; nothing of one alone."""
    if max(counts, default=1) == 1:
        return ""
    others = "; equal to any one number of workers up to rounding" if len(counts) > 1 else ""
    return f", by {', then '.join(map(str, counts))} workers{others}"


def freshness_rows(curve: Iterable[Values]) -> tuple[list[str], list[list[str]]]:
    """Return header and one row for each label delay: AUC, or RMSE, of each task on test rows."""
    listed = list(curve)
    cells = [[one["delay"], *(rounded(_main(values)) for values in one["tasks"].values())] for one in listed]
    return ["labels after", *listed[0]["tasks"]], cells


def history_rows(found: Values) -> tuple[list[str], list[list[str]]]:
    """Return header and a row for each key: by how many standard errors a task's loss rises without a statistic.

    `found`: the part `histories` of history.json. The worst-hit task counts; statistics that were left out say so.
    """
    groups = {(tuple(one["key"]), one["kind"]): one for one in found["groups"]}
    kinds, keys = (list(dict.fromkeys(part)) for part in zip(*((kind, key) for key, kind in groups), strict=True))
    rows = [[" + ".join(map(clean, key)), *(_gain(groups.get((key, kind))) for kind in kinds)] for key in keys]
    return ["history of", *kinds], rows


def _gain(group: Values | None) -> str:
    if group is None:
        return ""
    rise = f"{max(group['rises'].values()):+.1f}"
    return rise if group["kept"] else f"left out ({rise})"


def sequence_line(found: Values) -> str | None:
    """Say what the events one by one give, and whether they are inputs; None where it was not measured."""
    gain = found.get("sequence_gain")
    if gain is None:
        return None
    kept = "they are inputs" if found["sequence"] else "they were left out"
    return f"the last events one by one change a small network's validation loss by {-100 * gain:+.2f} %: {kept}"


def delay_line(curve: Iterable[Values]) -> str | None:
    """Say in one line what labels that come after one hour cost a model; None where that was not measured."""
    tasks = {one["delay"]: one["tasks"] for one in curve}
    if "0s" not in tasks or "1h" not in tasks:
        return None
    pairs = ((task, _main(values), _main(tasks["1h"][task])) for task, values in tasks["0s"].items())
    changes = ", ".join(f"{clean(task)} {rounded(now)} to {rounded(then)}" for task, now, then in pairs)
    return f"labels are taken to be known at once; known after one hour: {changes} (--label-delay says when they are)"


def _main(metrics: Values) -> Any:
    """Return the AUC of a task, or its RMSE."""
    return metrics["auc"] if "auc" in metrics else metrics.get("rmse")


def ensemble_lines(ensemble: Values) -> list[str]:
    """Write a line for each task with the weights of the ensemble's members, and what was missing."""
    lines = [
        f"{task}: " + ", ".join(f"{name} {weight:.0%}" for name, weight in members.items() if weight)
        for task, members in ensemble["weights"].items()
    ]
    missing = [f"no boosted trees: {ensemble['missing']}"] if ensemble["missing"] else []
    return (["scores by"] if lines else ["the network alone: no other model improves it"]) + lines + missing


def cost_lines(metrics: Values) -> list[str]:
    """Say what a fit took and what a row costs, as far as the folder tells; seconds of stages sum to their total."""
    found = [f"inputs: {metrics['preset']}"] if metrics.get("preset") else []
    found += [f"{metrics['parameters']:,} parameters"] if metrics.get("parameters") is not None else []
    found += [f"{scaled(metrics['flops_per_row'])} FLOPs a row"] if metrics.get("flops_per_row") is not None else []
    if metrics.get("peak_memory_bytes"):
        found.append(f"peak memory {metrics['peak_memory_bytes'] / 2**30:.1f} GiB")
    return [*seconds_lines(metrics.get("seconds") or {}), *latency_lines(metrics), "; ".join(found)]


def seconds_lines(spent: Values) -> list[str]:
    """Say how the seconds of a fit are divided among its stages, as far as the folder tells."""
    parts = [f"{name} {value:.1f}" for name, value in spent.items() if name != "total"]
    return [f"seconds: {', '.join(parts)}; {spent['total']:.1f} in all"] if "total" in spent else []


def before_report(spent: Values) -> dict[str, float]:
    """Return the seconds without those of the report, which cannot know them."""
    rest = {name: value for name, value in spent.items() if name != "report"}
    return rest | ({"total": spent["total"] - spent["report"]} if "report" in spent else {})


def latency_lines(metrics: Values) -> list[str]:
    """Say how long one row takes: encoded, by networks and trees alone, and raw, through the whole chain."""
    found = metrics.get("latency_ms") or {}
    encoded, raw = (milliseconds(found.get(name)) for name in ("encoded_row", "raw_row"))
    whole = f"; one raw row, from its values to its scores, {raw}" if known(found.get("raw_row")) else ""
    return [f"latency: one encoded row, networks and trees alone, {encoded}{whole}"] if found else []


def kept_lines(found: Values) -> list[str]:
    """Say which share of an ensemble's gain a distilled network keeps. `found`: `distillation` of history.json."""
    return [
        f"of the ensemble's gain over the single network, it keeps on {part} rows: "
        + ", ".join(f"{clean(task)} {share:.0%}" for task, share in shares.items())
        for part, shares in found["kept"].items()
        if shares
    ]


def undefined(metrics: Values) -> list[str]:
    """Write a line for each undefined metric of a task; those that a missing group column explains are left out."""
    shown = {*used_metrics(metrics["tasks"].values()), *NEEDED}
    found = {
        f"{clean(task)}: {METRIC_NAMES.get(name, name)}": value
        for task, values in metrics["tasks"].items()
        for name, value in values.items()
        if name in shown
    } | {"MTL-Loss": metrics["mtl_loss"]}
    return [f"{name} is undefined: {reason(value)}" for name, value in found.items() if reason(value)]


def all_rows_line(told: Values | None) -> str | None:
    """Tell that the final model has learned from validation rows, too; None where it has not.

    told: the part `all_rows` of history.json.
    """
    if not told:
        return None
    known = told["models"]
    again = [clean(name) for name, done in known.items() if done]
    if not again:
        return None
    which = "the model" if len(known) == 1 else "all models" if len(again) == len(known) else ", ".join(again)
    return (
        f"trained once more on all {told['rows']:,} training and validation rows, when all was chosen: {which}; "
        "validation rows are scored by what had not seen them"
    )


def comparison_tables(comparison: Values) -> list[Table]:
    """Make a table for each task, one of the cost, and one of the settings that were chosen."""
    tasks = [_task_table(comparison, task["name"]) for task in comparison["tasks"]]
    names, rows = chosen_settings(comparison)
    settings = "settings chosen on validation rows", ["model", *names], [[model, *cells] for model, cells in rows]
    return [*tasks, cost_table(comparison), settings]


def failures(comparison: Values) -> list[str]:
    """Write a line for each model or trial that failed."""
    lines = []
    for name, model in comparison["models"].items():
        trials = [trial["failed"] for trial in model["tuning"]["trials"] if "failed" in trial]
        lines += [f"{name} failed: {model['failed']}"] if model["failed"] else []
        lines += [f"{name}: a trial of its tuning failed: {message}" for message in trials]
    return lines


def chosen_settings(comparison: Values) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the names of the settings that tuning chose, and their values for each model."""
    chosen = {name: model["tuning"]["chosen"] or {} for name, model in comparison["models"].items()}
    names = list(dict.fromkeys(name for values in chosen.values() for name in values))
    rows = [(model, [plain(values.get(name)) for name in names]) for model, values in chosen.items()]
    titles = {"embedding_weight_decay": "embedding decay"}  # so that the table fits into 100 columns
    return [titles.get(name, name.replace("_", " ")) for name in names], rows


def mean_cost(model: Values, name: str) -> float | None:
    """Return the mean over seeds of a cost, or of the 'search' or 'training' seconds; None where no seed has it."""
    values = [seed["seconds"] | seed for seed in model["seeds"]]
    found = [cost for seed in values if (cost := seed[name]) is not None]
    return fmean(found) if found else None


def spread_text(values: Values | None) -> str:
    """Write mean and standard deviation as `rounded` writes numbers, or a dash."""
    if not values or values["mean"] is None:
        return "–"
    mean, write = rounded(values["mean"]), rounded if abs(values["mean"]) < LEAST else "{:.4f}".format
    return mean if values["std"] is None else f"{mean} ±{write(values['std'])}".replace("±0.", "±.")


def _task_table(comparison: Values, task: str) -> Table:
    found = {name: model["summary"]["tasks"].get(task, {}) for name, model in comparison["models"].items()}
    used = used_metrics(found.values())
    rows = [[name, *(spread_text(values.get(metric)) for metric in used)] for name, values in found.items()]
    count = len(comparison["seeds"])
    return f"{task}: test rows, mean ± standard deviation over {count} seed{'s' * (count > 1)}", ["model", *used], rows


def cost_table(comparison: Values) -> Table:
    """Make a table of each model's loss and cost, as means over seeds."""
    header = ["model", "MTL-Loss", "parameters", "FLOPs/row", "search", "training", "peak memory"]
    rows = []
    for name, model in comparison["models"].items():
        counts = [scaled(mean_cost(model, cost)) for cost in ("parameters", "flops_per_row")]
        times = [seconds(mean_cost(model, part) or None) for part in ("search", "training")]
        memory = size(mean_cost(model, "peak_memory_bytes"))
        rows.append([name, spread_text(model["summary"]["mtl_loss"]), *counts, *times, memory])
    return "cost, mean over seeds", header, rows
