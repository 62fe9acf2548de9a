"""Guess what the columns of a table mean; the guess is printed and can be edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from automtl.data.derive import TIME_PARTS
from automtl.data.schema import SINGLE, Condition, Field, FieldKind, Schema, Task, TaskKind
from automtl.errors import SchemaError, suggestion

ID_VALUES = 50  # a column with more distinct values than this is an id (if not a quantity)
SAMPLE = 100_000  # first rows, which often tell enough
DELIMITERS = (",", "|", ";", " ")
MOMENT = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?\s*$"  # a date or time as text


@dataclass(frozen=True)
class ColumnSummary:
    """One line of `automtl describe`."""

    name: str
    type: str
    role: str
    distinct: int
    missing: int
    note: str = ""


def require_columns(table: pl.DataFrame, names: Sequence[str | None], what: str) -> None:
    """Raises SchemaError that names the first absent column and the nearest present one."""
    for name in names:
        if name is not None and name not in table.columns:
            raise SchemaError(f"{what} '{name}': no such column in the table{suggestion(name, table.columns)}")


def infer_task(table: pl.DataFrame, name: str) -> Task:
    """Binary for labels of 0 and 1 (or booleans), regression for other numbers. Raises SchemaError otherwise."""
    require_columns(table, [name], "task")
    column = table[name].drop_nulls()
    if column.len() == 0:
        raise SchemaError(f"task '{name}': every label is null; give a column with labels")
    if column.dtype == pl.Boolean:
        return Task(name)
    if not column.dtype.is_numeric():
        seen = ", ".join(repr(v) for v in column.unique().sort().head(3).to_list())
        raise SchemaError(f"task '{name}': labels must be 0 and 1 or numbers, found {seen}; convert the column first")
    values = column.cast(pl.Float64).unique().sort()
    if values.is_in([0.0, 1.0]).all():
        return Task(name)
    if values.len() <= 10:
        odd = f"{values.filter(~values.is_in([0.0, 1.0]))[0]:g}"
        raise SchemaError(
            f"task '{name}': labels are neither 0 and 1 nor a quantity (found {odd}); recode the column, "
            "or declare 'kind: regression' in a schema file"
        )
    return Task(name, TaskKind.REGRESSION)


def check_labels(table: pl.DataFrame, task: Task, rows: str) -> None:
    """Raises SchemaError if the labels of `task` are not what its kind says, or a class is absent."""
    require_columns(table, [task.name], "task")
    if task.condition is not None:
        require_columns(table, [Condition.parse(task.condition).column], f"condition of task '{task.name}': column")
    column = table[task.name].drop_nulls()
    if column.dtype != pl.Boolean and not column.dtype.is_numeric():
        raise SchemaError(f"task '{task.name}': labels must be numbers, the column holds {column.dtype}")
    if column.len() == 0:
        raise SchemaError(f"task '{task.name}': every label is null in the {rows} rows; give labelled rows")
    if task.kind is TaskKind.REGRESSION:
        if column.dtype.is_float() and not column.is_finite().all():
            raise SchemaError(f"task '{task.name}': a label is infinite or NaN; remove it or make it null")
        least = column.cast(pl.Float64).min()
        if task.transform == "log1p" and task.clip is None and isinstance(least, float) and least < 0:
            raise SchemaError(
                f"task '{task.name}': log1p is of labels of 0 or more, found {least:g}; remove 'transform', "
                "or cut them with 'clip: [0, ...]'"
            )
        return
    odd = column.head(0) if column.dtype == pl.Boolean else column.filter((column != 0) & (column != 1))
    if odd.len():
        raise SchemaError(f"task '{task.name}': labels must be 0 and 1, found {odd[0]:g}; recode the column")


def infer_schema(
    table: pl.DataFrame,
    tasks: Sequence[str],
    *,
    drop: Sequence[str] = (),
    split: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> Schema:
    """A schema for `table`. A group column is also an input; weight, time and split columns are not."""
    require_columns(table, tasks, "task")
    require_columns(table, drop, "dropped column")
    for what, name in (
        ("split column", split),
        ("weight column", weight),
        ("group column", group),
        ("time column", time),
    ):
        require_columns(table, [name], what)
    apart = {*tasks, *drop, split, weight, time}
    fields = tuple(
        field for name in table.columns if name not in apart and (field := infer_field(table[name])) is not None
    )
    if not fields:
        raise SchemaError("no input column is left; drop fewer columns")
    found = tuple(infer_task(table, name) for name in tasks)
    return Schema(fields, found, weight, group, time, split, choose_rate_keys(table, fields))


def infer_field(column: pl.Series) -> Field | None:
    """The kind of one column, or None where it is constant, all null or of a type that is no input."""
    name, present = column.name, column.drop_nulls()
    if isinstance(column.dtype, pl.List | pl.Array):
        return Field(name, FieldKind.MULTI) if present.len() else None
    distinct = _at_least(present)
    if distinct == 0 or (distinct == 1 and present.len() == column.len()):
        return None
    if column.dtype == pl.Date:
        return Field(name, FieldKind.TIME, parts=("weekday", "day", "age"))
    if column.dtype == pl.Datetime:
        return Field(name, FieldKind.TIME)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _infer_text(name, present.cast(pl.String), present.n_unique())
    if column.dtype == pl.Boolean or is_id_name(name):
        return Field(name, FieldKind.CATEGORICAL)
    if column.dtype.is_numeric():
        fractional = column.dtype.is_float() and bool((present != present.round()).any())
        return Field(name, FieldKind.NUMERIC if distinct > ID_VALUES or fractional else FieldKind.CATEGORICAL)
    return None


def is_id_name(name: str) -> bool:
    """Whether the name says that the numbers in the column are no quantity."""
    lowered = name.lower()
    return lowered in ("id", "user", "item") or lowered.endswith(("_id", "id", "_code")) or lowered.startswith("id_")


def _infer_text(name: str, present: pl.Series, distinct: int) -> Field:
    sample = present.head(SAMPLE)
    numbers = sample.str.strip_chars().cast(pl.Float64, strict=False)
    if numbers.null_count() == 0 and distinct > ID_VALUES and not is_id_name(name):
        return Field(name, FieldKind.NUMERIC)
    if sample.str.contains(MOMENT).all():
        dates = sample.str.strip_chars().str.len_chars().max() == len("2024-01-31")
        return Field(name, FieldKind.TIME, parts=("weekday", "day", "age") if dates else None)
    for delimiter in DELIMITERS:
        if _is_delimited(sample, delimiter, distinct):
            return Field(name, FieldKind.MULTI, delimiter=delimiter)
    return Field(name, FieldKind.CATEGORICAL)


def _is_delimited(sample: pl.Series, delimiter: str, distinct: int) -> bool:
    """Several short parts a row that recur in other combinations, not text that merely contains the sign."""
    parts = sample.str.split(delimiter)
    several = (parts.list.len() > 1).sum() / max(parts.len(), 1)
    if several < 0.3 or distinct < 10:
        return False
    flat = parts.explode()
    clean = flat.str.contains(r"^[\w.-]+$").sum() / max(flat.len(), 1)
    return bool(clean > 0.99 and flat.n_unique() * 2 < distinct + 8)


def choose_rate_keys(table: pl.DataFrame, fields: Sequence[Field]) -> tuple[tuple[str, ...], ...]:
    """Keys whose historical rates become inputs: every column of more than ID_VALUES distinct values."""
    single = [f for f in fields if f.kind in SINGLE]
    return tuple((f.name,) for f in single if _at_least(table[f.name]) > ID_VALUES)


def _at_least(column: pl.Series) -> int:
    """The number of distinct values; of a long column, of its first rows if these already have more than ID_VALUES."""
    found = column.head(SAMPLE).n_unique()
    return found if found > ID_VALUES or column.len() <= SAMPLE else column.n_unique()


def summarize(table: pl.DataFrame, schema: Schema) -> list[ColumnSummary]:
    """One line a column of the table: its role in the schema, distinct values, missing values."""
    roles = {field.name: _field_role(field) for field in schema.fields}
    roles |= {task.name: f"task ({task.kind})" for task in schema.tasks}
    for role, name in (("weight", schema.weight), ("time", schema.time), ("split", schema.split)):
        if name is not None:
            roles[name] = role
    if schema.group is not None:
        roles[schema.group] = f"{roles.get(schema.group, '')} group".strip()
    rates = {name for key in schema.rates for name in key}
    lines = []
    for name in table.columns:
        column = table[name]
        distinct = column.n_unique()
        note = "historical rates" if name in rates else ""
        if name not in roles:
            note = "constant" if distinct == 1 else "all null" if column.null_count() == table.height else ""
        lines.append(ColumnSummary(name, str(column.dtype), roles.get(name, "-"), distinct, column.null_count(), note))
    return lines


def _field_role(field: Field) -> str:
    if field.delimiter:
        return f"{field.kind} by '{field.delimiter}'"
    if field.kind is FieldKind.TIME:
        return f"time ({', '.join(field.parts or TIME_PARTS)})"
    return str(field.kind)
