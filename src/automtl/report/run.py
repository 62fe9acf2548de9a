"""Tables and pictures of a run's report, made from the plain values of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from automtl.report.architecture import (
    SHARED,
    choice_title,
    describe,
    draw_architecture,
    expert_name,
    headings,
    num_experts,
    operations_of,
    shared_interaction,
    skip_places,
    skips,
)  # fmt: skip
from automtl.report.baselines import baseline_note, baseline_table, baseline_words, baselines
from automtl.report.charts import Line, Mark, band, heat, lines, square
from automtl.report.importance import importance_pictures, importance_rows
from automtl.report.leaderboard import cost_table, leaderboard_picture, quality_table, settings_of
from automtl.report.picture import Picture
from automtl.report.text import (
    all_rows_line,
    before_report,
    freshness_rows,
    history_rows,
    kept_lines,
    latency_lines,
    made_lines,
    seconds_lines,
    undefined,
    used_metrics,
)
from automtl.report.waterfall import waterfall_pictures, waterfall_table
from automtl.report.words import METRIC_NAMES, amount, clean, known, percent, rounded, slug

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"multi": "multi-valued"}  # kinds of fields in words, where the name is not clear
Headed = tuple[list[str], list[tuple[str, list[str]]]]  # header, and rows with their heads
STRONGEST = 4  # number of candidates that the picture of a choice names


@dataclass(frozen=True)
class RunValues:
    """The content of a run folder's JSON files. `curves`, `settings`: empty if the folder was written without them.

    `importance`: what `automtl importance` measured on some rows; empty where that is not known.
    """

    model: Mapping[str, Any]
    schema: Mapping[str, Any]
    metrics: Mapping[str, Any]
    history: Mapping[str, Any]
    settings: Mapping[str, Any]
    curves: Mapping[str, Any]
    version: str
    importance: Sequence[Mapping[str, Any]] = ()

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order."""
        return [task["name"] for task in self.schema["tasks"]]

    @property
    def name(self) -> str:
        """Name of the model that was fitted; of a folder without settings, of its first member."""
        return str(self.settings.get("model") or self.model["members"][0]["model"])

    @property
    def title(self) -> str:
        """Name of the model, and of the table it was fitted on."""
        return self.name + self._table

    @property
    def heading(self) -> str:
        """The kind of the model, and the table it was fitted on."""
        count = len(self.model["members"])
        kind = f"Ensemble of {count} models" if count > 1 else "Searched model" if self.architecture else self.name
        return kind + self._table

    @property
    def _table(self) -> str:
        path = (self.settings.get("table") or {}).get("path")
        return f" on {PurePath(path).name}" if path else ""

    @property
    def architecture(self) -> Mapping[str, Any] | None:
        """The architecture of the first member that has one, the one with the greatest weight."""
        return next((one["architecture"] for one in self.model["members"] if one["architecture"]), None)

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """The steps of the fit with what each gave; empty where that was not measured."""
        return list((self.metrics.get("waterfall") or {}).get("steps", ()))

    @property
    def leaderboard(self) -> list[Mapping[str, Any]]:
        """All trained models, best first; empty where there were none to choose from."""
        return list(self.history.get("leaderboard") or ())

    @property
    def search(self) -> Mapping[str, Any]:
        """The history of the search; empty for a model that was not searched."""
        return self.history.get("search") or {}

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """The evaluations of a differentiable search on validation rows; other strategies have none."""
        return list(self.search.get("records", ()))


def run_pictures(run: RunValues) -> dict[str, list[Picture]]:
    """Draw all pictures that the values allow, by section."""
    architecture = run.architecture
    drawn = architecture and architecture_picture(
        architecture, run.tasks, field_lines(run.schema), run.curves.get("gates")
    )
    groups = {
        "waterfall": waterfall_pictures(run.steps, run.schema["tasks"]) if run.steps else (),
        "leaderboard": leaderboard_picture(run.leaderboard),
        "architecture": [drawn] if drawn else [],
        "selection": selection_pictures(run.records, run.tasks, expert_names(run.records, architecture)),
        "strength": _strength(run) if run.records else (),
        "search": _search(run) if run.records else (),
        "training": _training(run),
        "importance": importance_pictures(run.importance),
        "roc": _test_curves(run, "ROC", "auc", "false positive rate", "true positive rate", dots=False),
        "calibration": _test_curves(
            run, "Calibration", "calibration_error", "mean score", "share of positive labels", dots=True
        ),
    }
    return {name: list(pictures) for name, pictures in groups.items()}


def architecture_picture(
    architecture: Mapping[str, Any], tasks: Sequence[str], fields: Sequence[str] = (), gates: Any = None
) -> Picture:
    """Draw an architecture, with its texts."""
    links = (
        "The thicker a link, the more weight the task's gate gives the expert, as a mean over validation rows."
        if gates
        else "Links show which task uses which expert; mean gate weights were not recorded."
    )
    note = f"{links} Dashed boxes are skips: they hand on what they get."
    figure, words = draw_architecture(architecture, tasks, fields, gates), describe(architecture, tasks)
    return Picture("architecture", "From the inputs to the tasks", words, figure, note, wide=True)


def fields_by_kind(schema: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the number of fields of each kind as text, with their names."""
    kinds: dict[str, list[str]] = {}
    for field in schema["fields"]:
        kinds.setdefault(KINDS.get(field["kind"], field["kind"]), []).append(field["name"])
    keys = [" × ".join(key) for key in schema.get("target_encoding", ()) if not schema.get("history")]
    counted = [(f"{len(names)} {kind}", names) for kind, names in kinds.items()]
    history = schema.get("history") or {}
    histories = [" × ".join(key) for key in history.get("keys") or ()]
    events = [", ".join(history["sequence"]["fields"])] if history.get("sequence") else []
    derived = {"target encodings": keys, "histories": histories, "sequence of events": events}
    return [*counted, *((f"{len(names)} {what}", names) for what, names in derived.items() if names)]


def field_lines(schema: Mapping[str, Any]) -> list[str]:
    """Return the number of fields of each kind as text."""
    return [title for title, _ in fields_by_kind(schema)]


def expert_names(evaluations: Sequence[Mapping[str, Any]], found: Mapping[str, Any] | None) -> list[str]:
    """Name the experts of a search as the final architecture does, which leaves out those that no task kept.

    Where the final architecture is another one than the last of the search, all are named as experts of the search.
    """
    if not evaluations:
        return []
    last = evaluations[-1]["architecture"]
    used = sorted({expert for chosen in last["selection"] for expert in chosen})
    selection = [[used.index(expert) for expert in chosen] for chosen in last["selection"]]
    choices = {name: made if name == SHARED else [made[one] for one in used] for name, made in last["choices"].items()}
    if found is None or {"choices": choices, "selection": selection} != {**found}:
        return [f"search {expert}" for expert in range(num_experts(last))]
    return [expert_name(used.index(one)) if one in used else f"idle {one}" for one in range(num_experts(last))]


def selection_pictures(
    evaluations: Sequence[Mapping[str, Any]], tasks: Sequence[str], names: Sequence[str] = ()
) -> Iterator[Picture]:
    """Draw Figure 3 of the paper: for each task the weights of all experts at each evaluation of a search.

    `names`: of the experts, if they are not numbered as in the search.
    """
    records = [record for record in evaluations if record.get("beta")]
    if not records:
        return
    steps = [record["step"] for record in records]
    last = records[-1]
    for index, task in enumerate(tasks):
        values = [list(expert) for expert in zip(*(record["beta"][index] for record in records), strict=True)]
        keep = len(last["architecture"]["selection"][index])
        order = sorted(range(len(values)), key=lambda expert: -values[expert][-1])
        chosen = sorted(order[:keep])
        named = names or [expert_name(expert) for expert in range(len(values))]
        words = ", ".join(f"{named[expert]} {values[expert][-1]:.2f}" for expert in order[:keep])
        figure = heat(values, named, steps, "search step", chosen)
        name = f"selection-{slug(index, task)}"
        yield Picture(name, clean(task), f"Weights of experts at the last step, those kept: {words}.", figure)


def _strength(run: RunValues) -> Iterator[Picture]:
    """Draw the mean weight of each candidate over the cells of a choice, at each evaluation."""
    records = run.records
    steps = [record["step"] for record in records]
    for place, (choice, options) in enumerate(run.search["options"].items()):
        if len(options) < 2:
            continue
        means = [_means(record["alpha"][choice]) for record in records]
        curves = [[mean[option] for mean in means] for option in range(len(options))]
        order = sorted(range(len(options)), key=lambda option: (-curves[option][-1], -max(curves[option])))
        series = [
            Line(options[option], steps, curves[option], rank, muted=rank >= STRONGEST)
            for rank, option in enumerate(order)
        ]
        words = ", ".join(f"{options[option]} {curves[option][-1]:.3f}" for option in order)
        cells = len(records[0]["alpha"][choice])
        where = "" if cells == 1 else f", mean over {cells} experts"
        title = f"{choice_title(choice).capitalize()}{where}"
        figure = lines(series, "search step", "weight", limits=(0, max(map(max, curves)) * 1.08))
        yield Picture(f"strength-{slug(place, choice)}", title, f"At the end: {words}.", figure)


def _means(cells: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(cells) for column in zip(*cells, strict=True)]


def _search(run: RunValues) -> Iterator[Picture]:
    records = run.records
    steps, start = [record["step"] for record in records], Mark("warm-up ends", x=run.search["warm_up"])
    losses = [record["valid_loss"] for record in records]
    words = f"Validation loss from {losses[0]:.4f} to {losses[-1]:.4f} over {steps[-1]} steps."
    figure = _losses(records, "valid_loss", steps, "search step", start)
    yield Picture("search-loss", "Loss of the supernet", words, figure)
    seen, final = [record["skips"] for record in records], skips(run.architecture or records[-1]["architecture"])
    taken = ", taken by the trials after the search," if _trials(run) else ""
    yield Picture(
        "skips", "Skip connections",
        f"In the architecture of each evaluation: {seen[0]} at first, {seen[-1]} at last; at most {max(seen)}."
        f" The last architecture has {skip_places(records[-1]['architecture'])} places for them.",
        lines([Line("skips", steps, seen, 0, steps=True)], "search step", "skips", limits=(0, max(*seen, 4) + 1),
              counts=True),
        f"Counted in the architecture that was strongest at that step. The final one{taken} has {final}.",
    )  # fmt: skip
    stopped = [record["stopped"] for record in records]
    yield Picture(
        "stopped", "Operations stopped",
        f"{stopped[-1]} copies of candidate operations were stopped by the end.",
        lines([Line("stopped", steps, stopped, 1, steps=True)], "search step", "operations",
              limits=(0, max(*stopped, 4) * 1.1), counts=True, marks=[start]),
    )  # fmt: skip
    yield from difference_pictures(records, run.settings.get("search", {}).get("stop_threshold"))


def _losses(records: Sequence[Mapping[str, Any]], valid: str, x: Sequence[float], x_label: str, mark: Mark) -> Figure:
    """Draw training and validation loss. `valid`: key of the validation loss in a record."""
    named = (("training", "train_loss", 1), ("validation", valid, 0))
    series = [Line(name, x, [record[key] for record in records], index) for name, key, index in named]
    return lines(series, x_label, "loss", marks=[mark])


def difference_pictures(records: Sequence[Mapping[str, Any]], threshold: float | None) -> Iterator[Picture]:
    """Draw how far gradients of training and validation batches point apart, where a search has measured it."""
    found = [(record["step"], record["gradient_difference"]) for record in records]
    seen = [(step, values) for step, values in found if len(values) == 5 and any(values)]
    if not seen:
        return
    steps, quantiles = [step for step, _ in seen], [values for _, values in seen]
    marks = [] if threshold is None else [Mark(f"threshold {threshold:g}", y=threshold)]
    yield Picture(
        "gradient-differences", "Gradients: training against validation",
        f"Over all watched operations; at the last step the lowest is {quantiles[-1][0]:.2f}, the median "
        f"{quantiles[-1][2]:.2f}, the highest {quantiles[-1][4]:.2f}.",
        band(steps, quantiles, "search step", "1 − cosine", marks),
        "0: same direction, 1: orthogonal, 2: opposite.",
    )  # fmt: skip


def _training(run: RunValues) -> Iterator[Picture]:
    training = run.history.get("training") or {}
    checks = training.get("evaluations", ())
    if not checks:
        return
    x, place = list(range(1, len(checks) + 1)), training["best"]
    best = Mark("best check", x=place + 1)
    words = f"Best validation loss {checks[place]['loss']:.4f} at check {place + 1} of {len(x)}."
    yield Picture("training-loss", "Loss", words, _losses(checks, "loss", x, "check", best))
    series = [
        Line(task, x, [check["auc"][task] for check in checks], index)
        for index, task in enumerate(run.tasks)
        if all(known(check["auc"].get(task)) for check in checks)
    ]
    if series:
        words = ", ".join(f"{line.name} {line.y[place]:.4f}" for line in series)
        figure = lines(series, "check", "AUC", marks=[best])
        yield Picture("training-auc", "AUC on validation rows", f"At the best evaluation: {words}.", figure)


def _test_curves(run: RunValues, title: str, metric: str, x_label: str, y_label: str, dots: bool) -> Iterator[Picture]:
    """Draw the curve of this title on test rows for each task that has one, with the value of a metric."""
    name = title.lower()
    for index, task in enumerate(run.tasks):
        curve = run.curves.get("tasks", {}).get(task, {}).get(name)
        if curve:
            value = f"{METRIC_NAMES[metric]} {rounded(run.metrics['test']['tasks'][task].get(metric))}"
            figure = square(curve, x_label, y_label, dots=dots, index=index)
            yield Picture(f"{name}-{slug(index, task)}", clean(task), f"{title} curve; {value}.", figure, value)


def _trials(run: RunValues) -> list[tuple[str, list[str]]]:
    """Make rows of the trials that ended a progressive search: name, score, and whether it was taken."""
    trials = [trial for trial in run.search.get("trials", ()) if "name" in trial]
    best = min((trial["score"] for trial in trials), default=None)
    return [(trial["name"], [rounded(trial["score"]), "taken" if trial["score"] == best else ""]) for trial in trials]


def run_page(run: RunValues) -> dict[str, Any]:
    """Collect the pictures and tables for the template of a run."""
    metrics, found = run.metrics, run.architecture
    times = before_report(metrics.get("seconds") or {})
    held = baselines(run.schema["tasks"], run.leaderboard, metrics["test"]["tasks"])
    return {
        "title": f"automtl: {run.title}",
        "made": made_lines(run.settings.get("table") or {}, metrics.get("made") or {}),
        "run": run,
        "pictures": run_pictures(run),
        "trials": _trials(run),
        "total": times.get("total"),
        "times": [*seconds_lines(times), *latency_lines(metrics)],
        "beside": {task: baseline_words(task, held) for task in run.tasks},
        "baselines": _headed(*baseline_table(run.schema["tasks"], held)) if len(held) > 1 else None,
        "which": baseline_note(held),
        "importance": _headed(*importance_rows(run.importance)) if run.importance else None,
        "numbering": _numbering(run),
        "parts": [(name, metric_table(metrics[name])) for name in ("validation", "test")],
        "distilled": _distilled(run.history.get("distillation")),
        "all_rows": all_rows_line(run.history.get("all_rows")),
        "waterfall": waterfall_table(run.steps, run.tasks) if run.steps else None,
        "leaderboard": leaderboard_parts(run.leaderboard),
        "histories": _histories(run.history.get("histories")),
        "freshness": _freshness(metrics.get("freshness")),
        "labels": _labels(run),
        "findings": metrics.get("findings"),
        "fields": fields_by_kind(run.schema),
        "experts": found and expert_table(found, run.tasks, run.curves.get("gates"), metrics.get("ensemble")),
        "stopped": _stopped(run),
        "settings": dotted_settings(run.settings),
    }


def _numbering(run: RunValues) -> str:
    """Say how the experts of a search are named."""
    if any(name.startswith("search") for name in expert_names(run.records, run.architecture)):
        return "The architecture is another one than the last of the search, so that its experts are others, too."
    return "Experts are named as in the architecture, which leaves out the idle ones, those that no task kept."


def _distilled(found: Mapping[str, Any] | None) -> list[str]:
    """Say what a network was distilled from, and what it keeps; nothing of other models."""
    return [f"Distilled from the ensemble in {found['from']}", *kept_lines(found)] if found else []


def leaderboard_parts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Headed]]:
    """Make the tables of a leaderboard, with their titles; the second has the settings of each candidate, too."""
    if not rows:
        return []
    quality, names, metrics = quality_table(rows)
    cost, header, cells = cost_table(rows)
    told = [[*line, settings_of(row)] for line, row in zip(cells, rows, strict=True)]
    return [(quality, _headed(names, metrics)), (cost, _headed([*header, "settings"], told))]


def _freshness(curve: Sequence[Mapping[str, Any]] | None) -> Headed | None:
    """Make a table of the metrics by label delay, if they were measured."""
    return _headed(*freshness_rows(curve)) if curve else None


def _histories(found: Mapping[str, Any] | None) -> Headed | None:
    """Make a table of what each history gives, if that was measured."""
    return _headed(*history_rows(found)) if found and found["groups"] else None


def _headed(header: list[str], rows: list[list[str]]) -> Headed:
    return header, [(row[0], row[1:]) for row in rows]


def metric_table(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Make a table of metrics, with a row for each task and notes on undefined values."""
    tasks, notes = metrics["tasks"], [f"{line}." for line in undefined(metrics)]
    used = used_metrics(tasks.values())
    rows = [(task, [*(rounded(v.get(name)) for name in used), amount(v["rows"])]) for task, v in tasks.items()]
    columns = [*(METRIC_NAMES.get(name, name) for name in used), "rows"]
    return {"columns": columns, "rows": rows, "notes": notes, "total": rounded(metrics["mtl_loss"])}


def _labels(run: RunValues) -> Headed:
    """Make a column for each split: the number of rows, and the mean label of each task."""
    parts = run.metrics["rows"]
    rows = [("rows", [amount(count) for count in parts.values()])]
    rows += [
        (task["name"], [_label(run, task, part, count) for part, count in parts.items()])
        for task in run.schema["tasks"]
    ]
    return ["", *parts], rows


def _label(run: RunValues, task: Mapping[str, Any], part: str, count: int) -> str:
    """Write the mean label of a task in a part, and how many rows have a label if not all have."""
    values = run.curves.get("labels", {}).get(part, {}).get(task["name"], {})
    mean = values.get("mean")
    shown = percent(mean) if task.get("kind", "binary") == "binary" else rounded(mean)
    return f"{shown} of {amount(values['rows'])}" if values and values["rows"] != count else shown


def expert_table(
    architecture: Mapping[str, Any], tasks: Sequence[str], gates: Any = None, ensemble: Any = None
) -> dict[str, Any]:
    """Make a table of the architecture: each expert's operations and its weight in each task; and the ensemble."""
    rows = []
    for index in range(num_experts(architecture)):
        weights = [
            ("" if index not in chosen else "yes" if not gates else percent(gates[task][index]))
            for task, chosen in enumerate(architecture["selection"])
        ]
        rows.append((expert_name(index), operations_of(architecture, index), weights))
    return {
        "interaction": shared_interaction(architecture), "columns": headings(architecture),
        "tasks": tasks, "rows": rows, "ensemble": _members(ensemble, tasks) if ensemble else None,
    }  # fmt: skip


def _members(ensemble: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """Make a table of the ensemble: members and their weights by task, and what was missing."""
    weights = ensemble["weights"]
    names = list(next(iter(weights.values()), ()))
    rows = [(clean(name), [percent(weights[task][name]) for task in tasks]) for name in names]
    return {"rows": rows, "missing": clean(ensemble["missing"]) if ensemble["missing"] else None}


def _stopped(run: RunValues) -> dict[str, Any] | None:
    """Make a table of operations by choice: number of copies that were stopped, and the step of the first."""
    stopped = run.search.get("stopped")
    if not stopped:
        return None
    alpha = run.records[0]["alpha"]
    places: dict[tuple[str, str], list[int]] = {}
    for entry in stopped:
        places.setdefault((entry["operation"], entry["choice"]), []).append(entry["step"])
    choices = [choice for choice in alpha if any(choice == other for _, other in places)]
    operations = list(dict.fromkeys(entry["operation"] for entry in stopped))

    def cell(operation: str, choice: str) -> str:
        steps = places.get((operation, choice))
        return f"{len(steps)} of {len(alpha[choice])}, from step {min(steps)}" if steps else ""

    rows = [(operation, [cell(operation, choice) for choice in choices]) for operation in operations]
    return {"columns": [choice_title(choice) for choice in choices], "rows": rows, "count": len(stopped)}


def dotted_settings(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return dotted names and values of settings."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        rows += (
            dotted_settings(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else [(prefix + name, _plain(value))]
        )
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items() if inner not in ({}, ()))
    return "; ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)
