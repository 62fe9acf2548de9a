"""Inputs that give the answer away. Thresholds are measured: docs/check.md.

A column is suspect in either of two ways:
1. Alone, by the label's rate for each of its values (training rows), it ranks held-out rows nearly perfectly.
2. It is zero unless the label is 1: what was recorded after the outcome (dwell time, another label) often is. This
   finds outcomes of few rows, which rank badly because most rows hold 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from automtl.tables.quality.base import Audit, Finding, grouping
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import TEXTS, unnamed

AUC = 0.955  # measured: leaks .959 and more, honest columns up to .947
ERROR = 0.15  # of chance: AUC is 3 of them away from .5
SMOOTHING = 20.0  # rows at the label's overall rate that are added to each group
EXCEPTIONS = 0.2  # of those expected by chance; measured: outcomes up to .12, honest columns .28 and more
SURPRISE = 11.0  # -log of the chance of so few exceptions (about 1e-5)
DROP = "drop it (--drop '{0}') unless it is known before the label is"
OUTCOME = "drop it (--drop '{0}'), or let later rows know it (--outcome '{0}'), unless it is known before the label is"


def predicts_a_label(audit: Audit) -> Iterator[Finding]:
    """Find columns that alone reach AUC on held-out rows, each with the label that it predicts best."""
    train, valid = audit.labels(audit.train), audit.labels(audit.valid)
    for field in audit.single_fields:
        scores = one_column_auc(field, audit.train[field.name], train, audit.valid[field.name], valid)
        if not scores:
            continue
        place, score = max(scores.items(), key=lambda one: one[1])
        task = audit.schema.task_names[int(place)]
        if score >= AUC:
            evidence = f"alone ranks '{task}' with AUC {score:.3f} on {valid.height:,} held-out rows"
            yield Finding("leakage", "warning", field.name, evidence, score, _remedy(audit, field), task)


def _remedy(audit: Audit, field: Field) -> str:
    """Propose to drop a column or, where rows have histories and it holds numbers, to make it an outcome."""
    numbers = field.kind is FieldKind.NUMERIC or audit.train[field.name].dtype not in TEXTS
    return (OUTCOME if audit.schema.history and numbers else DROP).format(field.name)


def one_column_auc(
    field: Field, column: pl.Series, labels: pl.DataFrame, valid: pl.Series, valid_labels: pl.DataFrame
) -> dict[str, float]:
    """Rank held-out rows by the smoothed rates of one column's groups, fitted on `column`: AUC by task.

    Tasks with too few held-out rows of a class are left out.
    """
    group = grouping(field, column)
    fitted, counted = _counts(group(column), labels), _counts(group(valid), valid_labels)
    joined = counted.join(fitted, on="group", how="left", suffix=" fitted", nulls_equal=True).fill_null(0)
    found = {}
    for task in labels.columns:
        base = labels[task].mean()
        positives, negatives = (joined[f"{task} {label}"].to_numpy() for label in (1, 0))
        if not isinstance(base, float) or chance_error(positives.sum(), negatives.sum()) > ERROR:
            continue
        ones, zeros = (joined[f"{task} {label} fitted"].to_numpy() for label in (1, 0))
        rate = (ones + SMOOTHING * base) / (ones + zeros + SMOOTHING)
        found[task] = _grouped_auc(rate, positives, negatives)
    return found


def chance_error(positives: int, negatives: int) -> float:
    """Return the standard deviation of a random score's AUC (Mann and Whitney 1947); infinite without a class."""
    pairs = positives * negatives
    return math.sqrt((positives + negatives + 1) / (12 * pairs)) if pairs else math.inf


def _counts(groups: pl.Series, labels: pl.DataFrame) -> pl.DataFrame:
    """Count for each group the rows of each task that have label 1 and label 0."""
    sums = [(pl.col(task) == label).sum().alias(f"{task} {label}") for task in labels.columns for label in (1, 0)]
    return labels.with_columns(groups.alias("group")).group_by("group").agg(sums)


def _grouped_auc(score: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    """Compute AUC of groups (G,) with a score and counts of positive and negative rows; ties count half."""
    _, place = np.unique(score, return_inverse=True)
    ones, zeros = np.bincount(place, positives), np.bincount(place, negatives)
    below = np.cumsum(zeros) - zeros
    return float(((below + zeros / 2) * ones).sum() / (ones.sum() * zeros.sum()))


def follows_a_label(audit: Audit) -> Iterator[Finding]:
    """Find numbers and booleans, mostly 0, that otherwise nearly always mean label 1; test rows are not read."""
    rows = pl.concat([audit.split.train, audit.split.valid])
    labels = audit.labels(rows)
    for field in audit.single_fields:
        column = rows[field.name]
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            continue
        marked = (unnamed(column).cast(pl.Float64) != 0).fill_null(False)
        if not 0 < marked.sum() < rows.height / 2:
            continue
        inside = labels.filter(marked)
        tasks = zip(audit.schema.task_names, inside, labels, strict=True)
        found = [finding for task, own, label in tasks if (finding := _follows(field, task, own, label))]
        yield from (replace(one, remedy=_remedy(audit, field)) for one in sorted(found, key=lambda one: one.value)[:1])


def _follows(field: Field, task: str, inside: pl.Series, label: pl.Series) -> Finding | None:
    """Compare the label `inside`, on rows where the column is not 0, with the label of all rows."""
    count, base = inside.len() - inside.null_count(), label.mean()
    if count == 0 or not isinstance(base, float) or not 0 < base < 1:
        return None
    rate = float(inside.mean())  # type: ignore[arg-type]
    exceptions = (1 - rate) / (1 - base)
    if exceptions > EXCEPTIONS or count * divergence(rate, base) < SURPRISE:
        return None
    evidence = (
        f"where it is not 0 ({count:,} rows), '{task}' is 1 in {100 * rate:.3g} %, against {100 * base:.3g} % overall"
    )
    return Finding("outcome", "warning", field.name, evidence, exceptions, DROP.format(field.name), task)


def divergence(rate: float, base: float) -> float:
    """Return the Kullback-Leibler divergence of two rates; n times it bounds the log chance of a rate in n rows."""
    parts = ((rate, base), (1 - rate, 1 - base))
    return sum(share * math.log(share / expected) for share, expected in parts if share > 0)
