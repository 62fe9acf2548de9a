"""Comparison of training, validation and test rows: drift of inputs, label rates, rows that occur twice."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from automtl.tables.infer import is_id_name
from automtl.tables.quality.base import Audit, Finding, grouping, share_of
from automtl.tables.schema import TaskKind
from automtl.tables.values.ids import as_integers
from automtl.tables.values.numbers import as_labels

PARTS = ("train", "valid", "test")
DRIFT = 0.25  # the usual bound for a major shift
COMMON = 20  # groups of a column that are compared one by one, the rest is one group
CHANGE = 0.25  # of a label's rate, relative
NOISE = 6.0  # standard errors
TWICE = 0.01  # share of rows
SHARED = 0.05  # share of test rows
LEAST = 50  # labels of which it can be said that they do not recur
NEARLY_ALL = 0.9  # share of labels


def drifting_columns(audit: Audit) -> Iterator[Finding]:
    """Find inputs whose distribution differs between training rows and validation or test rows."""
    for field in audit.single_fields:
        column = audit.train[field.name]
        group = grouping(field, column)
        base = group(column)
        common = _common(base)
        expected = _shares(base, common)
        found = {part: group(getattr(audit, part)[field.name]) for part in PARTS[1:]}
        bounds = {part: DRIFT + chance_of_stability(base.len(), rows.len()) for part, rows in found.items()}
        values = {part: population_stability(expected, _shares(rows, common)) for part, rows in found.items()}
        part = max(values, key=lambda name: values[name] - bounds[name])
        value, bound = values[part], bounds[part]
        if value > bound:
            evidence = f"population stability index {value:.2f} between training and {part} rows (above {bound:.2f})"
            remedy = f"is it recorded alike in both? --drop '{field.name}' if it only tells the time or the part"
            yield Finding("drift", "note", field.name, evidence, value, remedy)


def population_stability(p: np.ndarray, q: np.ndarray) -> float:
    """Sum (q - p) log(q / p) over the shares of groups; 0 means the same shares."""
    return float(((q - p) * np.log(q / p)).sum())


def chance_of_stability(rows: int, others: int) -> float:
    """Return a bound that the index rarely exceeds between samples of one population.

    Divided by 1 / rows + 1 / others it is about chi-squared of COMMON + 1 degrees of freedom (Yurdakul 2018); the bound
    is its mean and 3 standard deviations.
    """
    freedom = COMMON + 1
    return (freedom + 3 * math.sqrt(2 * freedom)) * (1 / rows + 1 / others)


def _common(column: pl.Series) -> pl.Series:
    """Select the COMMON most frequent groups; of equally frequent ones, the first in their order."""
    counts = column.alias("group").drop_nulls().value_counts(name="rows")
    candidates = counts.filter(counts["rows"] >= (counts["rows"].top_k(COMMON).min() or 0))
    return candidates.sort("rows", "group", descending=[True, False]).head(COMMON)["group"]


def _shares(column: pl.Series, common: pl.Series) -> np.ndarray:
    """Return the shares of the COMMON most frequent groups, of the rest, and of what is missing.

    Half a row is added to each count, so that an empty group stays finite.
    """
    kept = column.drop_nulls()
    inside = kept.filter(kept.is_in(common.implode())).rename("group").value_counts(name="rows")
    frame = common.to_frame().join(inside, on="group", how="left").fill_null(0)
    counts = [*frame["rows"].to_list(), kept.len() - inside["rows"].sum(), column.null_count()]
    smooth = np.array(counts, np.float64) + 0.5
    shares: np.ndarray = smooth / smooth.sum()
    return shares


def label_rates(audit: Audit) -> Iterator[Finding]:
    """Find labels of one class in a part, and rates that differ between the parts by more than noise."""
    labels = {part: audit.labels(getattr(audit.split, part)) for part in PARTS}
    for place, task in enumerate(audit.schema.task_names):
        columns = {part: table[str(place)].drop_nulls() for part, table in labels.items()}
        empty = [part for part, column in columns.items() if column.len() == 0]
        if empty:
            remedy = "its metrics are undefined there: give labelled rows"
            evidence = f"no label in {getattr(audit.split, empty[0]).height:,} {empty[0]} rows"
            yield Finding("one class", "warning", task, evidence, 0.0, remedy, task)
            continue
        rates = {part: float(column.mean()) for part, column in columns.items()}  # type: ignore[arg-type]
        shown = ", ".join(f"{part} {rate:.4g}" for part, rate in rates.items())
        single = [part for part, rate in rates.items() if rate in (0.0, 1.0)]
        if single:
            remedy = "its metrics are undefined there: use other parts or more rows"
            yield Finding("one class", "warning", task, f"one class in {single[0]} rows ({shown})", 0.0, remedy, task)
            continue
        changes = {part: abs(rates[part] - rates["train"]) / rates["train"] for part in PARTS[1:]}
        part = max(changes, key=lambda name: changes[name])
        variance = rates["train"] * (1 - rates["train"])
        error = math.sqrt(variance / columns["train"].len() + variance / columns[part].len())
        if changes[part] > CHANGE and abs(rates[part] - rates["train"]) > NOISE * error:
            remedy = "are the parts of one population, sampled alike? calibration will be off by as much"
            evidence = f"rate of label 1: {shown}"
            yield Finding("label rate", "note", task, evidence, changes[part], remedy, task)


def ids_as_labels(audit: Audit) -> Iterator[Finding]:
    """Find quantities to be predicted that are ids or counters: whole numbers that do not recur."""
    for task in audit.schema.tasks:
        labels = as_labels(audit.train[task.name]).drop_nulls()
        if task.kind is not TaskKind.REGRESSION or labels.len() < LEAST or as_integers(labels) is None:
            continue
        share = labels.n_unique() / labels.len()
        if share >= (NEARLY_ALL if is_id_name(task.name) else 1.0):
            evidence = (
                f"whole numbers, of which {share_of(labels.len(), share)} differ: is it an id, a counter or a time?"
            )
            remedy = "such a number cannot be learned: name another label column; if it is a quantity, ignore this"
            yield Finding("id as label", "warning", task.name, evidence, share, remedy, task.name)


def duplicated_rows(audit: Audit) -> Iterator[Finding]:
    """Find rows that agree in all inputs and labels, within the table and between test and training rows."""
    names = [*dict.fromkeys([*audit.schema.columns, *audit.schema.task_names])]
    parts: list[pl.DataFrame] = [getattr(audit.split, part) for part in PARTS]
    train, valid, test = (pl.DataFrame(list(map(part.get_column, names))).hash_rows() for part in parts)
    rows = pl.concat([train, valid, test])
    share = 1 - rows.n_unique() / rows.len()
    if share > TWICE:
        evidence = f"{share_of(rows.len(), share)} repeat an earlier row in all inputs and labels"
        remedy = "if one event was logged several times, keep one row; if not, ignore this"
        yield Finding("duplicates", "note", ", ".join(names[:3]) + " ...", evidence, share, remedy)
    shared = float(test.is_in(train.unique().implode()).mean() or 0.0)  # type: ignore[arg-type]
    if shared > SHARED:
        evidence = f"{share_of(test.len(), shared)} of the test part are training rows, too"
        remedy = "test metrics are too good: remove the copies, or split by user or time"
        yield Finding("shared rows", "warning", ", ".join(names[:3]) + " ...", evidence, shared, remedy)
