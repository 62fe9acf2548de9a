"""Checks of a table before training (docs/check.md). A check is a function of an Audit and a line in CHECKS."""

from __future__ import annotations

from collections.abc import Collection

from automtl.system.threads import in_threads
from automtl.tables.infer import check_labels
from automtl.tables.quality.base import Audit, Check, Finding, Findings
from automtl.tables.quality.columns import (
    constant_columns,
    ids_of_few_rows,
    missing_values,
    mixed_columns,
    unread_columns,
)
from automtl.tables.quality.forms import (
    codes_read_as_missing,
    forms_of_one_value,
    leading_zeros,
    nearly_alike_texts,
    rounded_numbers,
)
from automtl.tables.quality.leakage import follows_a_label, predicts_a_label
from automtl.tables.quality.parts import drifting_columns, duplicated_rows, ids_as_labels, label_rates
from automtl.tables.quality.times import (
    rows_of_equal_time,
    rows_without_time_or_group,
    times_without_zone,
    unlikely_times,
)
from automtl.tables.roles import require_both_classes
from automtl.tables.schema import Schema
from automtl.tables.split import Split

CHECKS: dict[str, Check] = {
    "leakage": predicts_a_label,
    "outcome": follows_a_label,
    "label rate": label_rates,
    "id as label": ids_as_labels,
    "duplicates": duplicated_rows,
    "constant": constant_columns,
    "missing": missing_values,
    "unread": unread_columns,
    "mixed": mixed_columns,
    "seen once": ids_of_few_rows,
    "drift": drifting_columns,
    "leading zeros": leading_zeros,
    "one value": forms_of_one_value,
    "nearly alike": nearly_alike_texts,
    "missing marks": codes_read_as_missing,
    "rounded": rounded_numbers,
    "zone": times_without_zone,
    "time range": unlikely_times,
    "no time or group": rows_without_time_or_group,
    "equal times": rows_of_equal_time,
}

__all__ = ["CHECKS", "Audit", "Check", "Finding", "Findings", "check_quality"]


def check_quality(split: Split, schema: Schema, seed: int = 0, dropped: Collection[str] = ()) -> tuple[Finding, ...]:
    """Run all checks on columns that are not dropped; warnings come first.

    Test rows are read for their inputs and label rates; nothing is chosen by them. Raises SchemaError where the
    training labels cannot be learned.
    """
    for task in schema.tasks:
        check_labels(split.train, task)
    require_both_classes(split.train, schema)
    audit = Audit.of(split, schema, seed)
    lists = in_threads(lambda check: list(check(audit)), CHECKS.values())
    found = [one for listed in lists for one in listed if one.column not in dropped]
    return tuple(sorted(found, key=lambda finding: finding.level != "warning"))
