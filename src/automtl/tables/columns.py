"""Which columns of a table have which role: the schema of a table, from a file, from names, or inferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from automtl.errors import SchemaError, SettingsError, suggestion
from automtl.tables.history import AnyHistory, declared_history
from automtl.tables.infer import completed_schema, infer_schema, require_columns
from automtl.tables.schema import Condition, Schema
from automtl.tables.values.numbers import as_labels


@dataclass(frozen=True)
class ColumnRoles:
    """Names the columns that have a role of their own, and columns to leave out.

    `outcomes`: columns that are known only afterwards. `label_delay`: after which time, such as "1h", labels and
    outcomes are known; one for all, or a mapping by name. `history`: true, false, "frozen" or a mapping as in a schema;
    None where nothing is said.

    >>> automtl.ColumnRoles(drop=("dwell_ms",), group="user_id", time="timestamp").group
    'user_id'
    """

    drop: tuple[str, ...] = ()
    split: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    outcomes: tuple[str, ...] = ()
    label_delay: str | float | dict[str, Any] | None = None
    history: Any = None

    @property
    def columns(self) -> dict[str, Any]:
        """Names of columns by role."""
        return {name: getattr(self, name) for name in ("drop", "split", "weight", "group", "time", "outcomes")}

    def history_of(self, said: AnyHistory) -> AnyHistory:
        """Return the histories that a schema declares, as these roles change them. Raises SchemaError."""
        return declared_history(said, self.history, self.label_delay)


def resolve_schema(table: pl.DataFrame, tasks: Sequence[str], roles: ColumnRoles, schema: Schema | None) -> Schema:
    """Return the given schema with these roles and tasks, or infer one.

    Raises SettingsError for a column that is given twice, SchemaError for histories without a time column.
    """
    for what, names in (("dropped", roles.drop), ("an outcome", roles.outcomes)):
        both = [name for name in tasks if name in names]
        if both:
            raise SettingsError(f"column '{both[0]}' is given as a task and as {what}; leave one out")
    if schema is None:
        found = infer_schema(table, tasks, **roles.columns, history=roles.history_of(None))
    else:
        found = completed_schema(table, _with_roles(schema, roles))
        found = of_some_tasks(found, tasks, "the schema file") if tasks else found
    return found


def _with_roles(schema: Schema, roles: ColumnRoles) -> Schema:
    schema = schema.without({one.name for one in schema.fields if {one.name, *one.columns} & set(roles.drop)})
    given = {name: value for name, value in roles.columns.items() if name not in ("drop", "outcomes") and value}
    outcomes = tuple(dict.fromkeys((*schema.outcomes, *roles.outcomes)))
    for name in roles.outcomes:
        if name in schema.columns:
            raise SchemaError(
                f"outcome '{name}' is a field of the schema, and an outcome is known only after its row; "
                f"remove the field, or give --drop '{name}', too"
            )
    return replace(schema, outcomes=outcomes, history=roles.history_of(schema.history), **given)


def of_some_tasks(schema: Schema, tasks: Sequence[str], where: str) -> Schema:
    """Return the schema with only these of its tasks. Raises SettingsError that names an unknown task."""
    missing = [name for name in tasks if name not in schema.task_names]
    if missing:
        raise SettingsError(f"task '{missing[0]}' is not in {where}{suggestion(missing[0], schema.task_names)}")
    return schema.of_tasks(tasks)


def check_columns(table: pl.DataFrame, schema: Schema) -> None:
    """Check that the table has all columns of the schema. Raises SchemaError."""
    require_columns(table, schema.columns, "field")
    require_columns(table, schema.task_names, "task")
    require_columns(table, schema.outcomes, "outcome")
    for role in ("weight", "group", "time", "split"):
        require_columns(table, [getattr(schema, role)], f"{role} column")
    for task in schema.tasks:
        if task.condition is not None:
            require_columns(table, [Condition.parse(task.condition).column], f"condition of task '{task.name}': column")
    for name in schema.outcomes:
        as_labels(table[name], "outcome")
