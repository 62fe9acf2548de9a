"""Guess what the columns of a table mean; the guess is printed and can be edited."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import polars as pl

from automtl.errors import RowError, SchemaError, suggestion
from automtl.tables.history import AnyHistory
from automtl.tables.history_choice import with_history
from automtl.tables.schema import SINGLE, Condition, Field, FieldKind, Schema, Task, TaskKind
from automtl.tables.values.ids import TEXTS, unnamed
from automtl.tables.values.lists import BRACKETED
from automtl.tables.values.numbers import Marks, as_labels, as_numbers, marks_of, present_texts, with_marks
from automtl.tables.values.times import MOMENT, zone_of

ID_VALUES = 50  # a column with more distinct values than this is an id (if not a quantity)
RECURRING = 0.5  # distinct values a row; fractions with more do not recur
SAMPLE = 100_000  # first rows, which often tell enough
FEW_LABELS = 10  # so many different ones are classes, not a quantity
ID_NAMES = {"user", "item", "video", "author", "product", "customer", "seller", "shop", "brand", "category", "query"}
CODES = {"code", "zip", "zipcode", "postcode", "hash", "sku"}
NO_IDS = {"bid", "paid", "unpaid", "prepaid", "valid", "invalid", "grid", "mid", "humid", "covid", "avoid", "said"}
DELIMITERS = (",", "|", ";", " ")
SAME_IDS = 0.5  # share of the second ids of lists that are first ones elsewhere
ZEROS = r"^[+-]?0\d"  # how codes such as zip codes begin, and numbers do not


def require_columns(table: pl.DataFrame, names: Sequence[str | None], what: str) -> None:
    """Raise SchemaError that names the first absent column and the present column of the nearest name."""
    for name in names:
        if name is not None and name not in table.columns:
            raise SchemaError(f"{what} '{name}': no such column in the table{suggestion(name, table.columns)}")


def infer_task(table: pl.DataFrame, name: str) -> Task:
    """Infer a task: binary from labels of 0 and 1 or booleans, regression from other numbers. Raises SchemaError."""
    require_columns(table, [name], "task")
    column = as_labels(table[name])
    if column.null_count() == column.len():
        raise SchemaError(f"task '{name}': every label is null; give a column with labels")
    odd = _other_than_two(column)
    if not odd.any():
        return Task(name)
    if column.n_unique() <= FEW_LABELS:
        row = int(odd.arg_max() or 0)
        what = f"task '{name}': labels are neither 0 and 1 nor a quantity, found {table[name][row]!r}"
        raise RowError(row, what, "recode the column, or declare 'kind: regression' in a schema file")
    return Task(name, TaskKind.REGRESSION)


def _other_than_two(column: pl.Series) -> pl.Series:
    """Tell which labels are given but neither 0 nor 1."""
    if column.dtype == pl.Boolean:
        return column.is_null() & False
    return ((column != 0) & (column != 1)).fill_null(False)


def check_labels(table: pl.DataFrame, task: Task) -> None:
    """Raise RowError if a label of `task` is not what its kind says."""
    require_columns(table, [task.name], "task")
    if task.condition is not None:
        require_columns(table, [Condition.parse(task.condition).column], f"condition of task '{task.name}': column")
    column = as_labels(table[task.name])
    checks: list[tuple[Callable[[pl.Series], pl.Series], str, str]] = [
        (_other_than_two, "labels must be 0 and 1", "recode the column")
    ]
    if task.kind is TaskKind.REGRESSION:
        checks = [(_infinite, "labels must be finite", "remove the row or make the label null")]
    if task.transform == "log1p" and task.clip is None:
        remedy = "remove 'transform', or cut labels with 'clip: [0, ...]'"
        checks.append((_negative, "log1p needs labels of 0 or more", remedy))
    for wrong, expected, remedy in checks:
        odd = wrong(column)
        if odd.any():
            row = int(odd.arg_max() or 0)
            raise RowError(row, f"task '{task.name}': {expected}, found {table[task.name][row]!r}", remedy)


def _negative(column: pl.Series) -> pl.Series:
    return (column < 0).fill_null(False)


def _infinite(column: pl.Series) -> pl.Series:
    return column.is_infinite().fill_null(False) if column.dtype.is_float() else column.is_null() & False


def infer_schema(
    table: pl.DataFrame,
    tasks: Sequence[str],
    *,
    drop: Sequence[str] = (),
    split: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    outcomes: Sequence[str] = (),
    history: AnyHistory = None,
    quantities: Collection[str] = (),
) -> Schema:
    """Infer a schema for `table`. A group column is also an input; weight, time, split and outcome columns are not.

    `quantities`: tasks whose labels are quantities however few there are.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> automtl.infer_schema(log, ["click"], drop=["like", "buy", "cart"]).task_names
    ('click',)
    """
    require_columns(table, tasks, "task")
    require_columns(table, drop, "dropped column")
    require_columns(table, outcomes, "outcome")
    for what, name in (("split", split), ("weight", weight), ("group", group), ("time", time)):
        require_columns(table, [name], f"{what} column")
    apart = {*tasks, *drop, *outcomes, split, weight, time}
    fields = tuple(
        field for name in table.columns if name not in apart and (field := infer_field(table[name])) is not None
    )
    if not fields:
        raise SchemaError("no input column is left; drop fewer columns")
    regression = TaskKind.REGRESSION
    found = tuple(Task(name, regression) if name in quantities else infer_task(table, name) for name in tasks)
    schema = Schema(fields, found, weight, group, time, split, outcomes=tuple(outcomes), history=history)
    schema = with_history(table, schema, [field.name for field in fields])
    return replace(schema, target_encoding=choose_target_encoding(table, schema.fields))


def completed_schema(table: pl.DataFrame, schema: Schema) -> Schema:
    """Return the schema with what the table says: zones of times, separators of numbers that are text, histories.

    Raises SchemaError for a column that is not there, and for histories or outcomes without a time column.
    """
    require_columns(table, schema.columns, "field")
    require_columns(table, [schema.time], "time column")

    def completed(field: Field) -> Field:
        column = table[field.name] if field.name in table.columns else pl.Series(field.name, [], dtype=pl.Null)
        if field.kind is FieldKind.TIME and field.zone is None:
            return replace(field, zone=zone_of(column))
        if field.kind is FieldKind.NUMERIC and column.dtype in TEXTS and field.decimal is field.thousands is None:
            texts = present_texts(column).drop_nulls()
            marks = None if _are_numbers(texts) else separators(texts)
            return field if marks is None else replace(field, **dict(zip(("decimal", "thousands"), marks, strict=True)))  # type: ignore[arg-type]
        return field

    used = {*schema.task_names, *schema.outcomes, schema.weight, schema.group, schema.split}
    searched = [name for name in table.columns if name not in used] if schema.history else []
    return with_history(table, replace(schema, fields=tuple(map(completed, schema.fields))), searched)


def infer_field(column: pl.Series) -> Field | None:
    """Infer the field of one column; None if it is constant, all null or of a type that is no input."""
    name, column = column.name, unnamed(column)
    present = column.drop_nulls()
    if isinstance(column.dtype, pl.List | pl.Array):
        return Field(name, FieldKind.MULTI) if _holds_ids(present) else None
    distinct = _at_least(present)
    if distinct == 0 or (distinct == 1 and present.len() == column.len()):
        return None
    if column.dtype == pl.Date:
        return Field(name, FieldKind.TIME, parts=("weekday", "day", "age"))
    if column.dtype == pl.Datetime:
        return Field(name, FieldKind.TIME, zone=zone_of(column))
    if column.dtype in TEXTS:
        return _infer_text(name, present.cast(pl.String))
    if column.dtype == pl.Boolean:
        return Field(name, FieldKind.CATEGORICAL)
    if column.dtype.is_numeric():
        quantity = _fractional(present) or not (distinct <= ID_VALUES or is_id_name(name) or _beyond_floats(present))
        return Field(name, FieldKind.NUMERIC if quantity else FieldKind.CATEGORICAL)
    return None


def _holds_ids(lists: pl.Series) -> bool:
    """Tell whether the lists hold ids: values of one kind, not the fractions of an embedding."""
    values = lists.head(SAMPLE).explode().drop_nulls()
    if values.len() == 0:
        values = lists.explode().drop_nulls()
    if values.len() == 0 or values.dtype.is_nested():
        return False
    return not (values.dtype.is_numeric() and _fractional(values))


def _fractional(numbers: pl.Series) -> bool:
    if numbers.dtype.is_integer():
        return False
    finite = numbers.filter(numbers.is_finite()) if numbers.dtype.is_float() else numbers
    return bool((finite != finite.round()).any())


def _beyond_floats(numbers: pl.Series) -> bool:
    """Tell whether there are whole numbers that no float holds exactly, as in hashes."""
    if not (numbers.dtype.is_integer() or numbers.dtype.is_decimal()):
        return False
    low, high = int(numbers.min()), int(numbers.max())  # type: ignore[arg-type]
    return max(-low, high) > 2**53


def left_out(column: pl.Series) -> str | None:
    """Say why a column is never taken for an input; None if it could be one."""
    if infer_field(column) is not None:
        return None
    if column.null_count() == column.len():
        return "all null"
    if isinstance(column.dtype, pl.List | pl.Array):
        return "no lists of ids"
    return "constant" if column.n_unique() == 1 else "no input of this type"


def is_id_name(name: str) -> bool:
    """Tell whether the name of a column says that its numbers are ids, not a quantity."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words[0] == "id" or words[-1] in CODES or (len(words) == 1 and words[0] in ID_NAMES):
        return True
    return words[-1].endswith("id") and words[-1] not in NO_IDS


def _infer_text(name: str, column: pl.Series) -> Field:
    present, distinct = present_texts(column).drop_nulls(), column.n_unique()
    sample = present.head(SAMPLE)
    if (number := _infer_number(name, sample, present, distinct)) is not None:
        return number
    if sample.len() and all(part.str.contains(MOMENT).all() for part in (sample, present)):
        dates = sample.str.len_chars().max() == len("2024-01-31")
        return Field(name, FieldKind.TIME, zone=zone_of(present), parts=("weekday", "day", "age") if dates else None)
    if sample.len() and all(part.str.contains(BRACKETED).all() for part in (sample, present)):
        return Field(name, FieldKind.MULTI)
    for delimiter in DELIMITERS:
        if _is_delimited(sample, delimiter, distinct):
            return Field(name, FieldKind.MULTI, delimiter=delimiter)
    return Field(name, FieldKind.CATEGORICAL)


def _infer_number(name: str, sample: pl.Series, present: pl.Series, distinct: int) -> Field | None:
    """Infer a numeric field from texts of numbers with any separators; None for ids and other texts."""
    plain = all(_are_numbers(part) for part in (sample, present))
    marks = None if plain else separators(sample)
    if sample.len() == 0 or (plain and (present.str.contains(ZEROS).any() or _long(present))) or not (plain or marks):
        return None
    numbers = present.cast(pl.Float64) if marks is None else with_marks(present, marks)
    if numbers.null_count() or not (_fractional(numbers) or not (distinct <= ID_VALUES or is_id_name(name))):
        return None
    decimal, thousands = marks or (None, None)
    return Field(name, FieldKind.NUMERIC, decimal=decimal, thousands=thousands)  # type: ignore[arg-type]


def _are_numbers(texts: pl.Series) -> bool:
    return texts.cast(pl.Float64, strict=False).null_count() == 0


def _long(texts: pl.Series) -> bool:
    """Tell whether there are whole numbers that no float holds exactly, as in hashes."""
    whole = texts.filter(texts.str.contains(r"^-?\d{16,}$"))
    return bool((whole.cast(pl.Float64).abs() >= 2**53).any())


def separators(texts: pl.Series) -> Marks | None:
    """Guess the separators of numbers that are written with some; None for other texts, lists of two ids included."""
    if texts.len() == 0 or (marks := marks_of(texts)) is None:
        return None
    parts = texts.str.extract(r"^[+-]?\d+,(\d+)$", 1).drop_nulls()
    if marks != (",", ".") or parts.len() == 0 or texts.str.contains(".", literal=True).any():
        return marks
    sizes = parts.str.len_chars()
    fractions = parts.str.contains(r"^0\d").any() or (sizes.n_unique() == 1 and sizes[0] > 1)
    firsts = texts.str.extract(r"^[+-]?(\d+)", 1).unique()
    fractions |= parts.is_in(firsts.implode()).sum() < SAME_IDS * parts.len()
    return marks if fractions or not _is_delimited(texts, ",", texts.n_unique()) else None


def _is_delimited(sample: pl.Series, delimiter: str, distinct: int) -> bool:
    """Tell whether rows hold short parts that recur in other combinations, not text that happens to hold the sign."""
    parts = sample.str.split(delimiter)
    several = (parts.list.len() > 1).sum() / max(parts.len(), 1)
    if several < 0.3 or distinct < 10:
        return False
    flat = parts.explode()
    clean = flat.str.contains(r"^[\w.-]+$").sum() / max(flat.len(), 1)
    return bool(clean > 0.99 and flat.n_unique() * 2 < distinct + 8)


def choose_target_encoding(table: pl.DataFrame, fields: Sequence[Field]) -> tuple[tuple[str, ...], ...]:
    """Choose as keys of target encodings all columns of more than ID_VALUES distinct values that recur."""
    return tuple(
        (f.name,) for f in fields
        if f.kind in SINGLE and _at_least(table[f.name]) > ID_VALUES
        and not (f.kind is FieldKind.NUMERIC and _continuous(table[f.name], f))
    )  # fmt: skip


def _continuous(numbers: pl.Series, field: Field) -> bool:
    """Tell whether the numbers are fractions that hardly recur, so that a value has no history."""
    sample = as_numbers(numbers.head(SAMPLE), field).drop_nulls()
    return _fractional(sample) and sample.n_unique() > RECURRING * sample.len()


def _at_least(column: pl.Series) -> int:
    """Count distinct values; in a long column those of the first rows, if these have more than ID_VALUES."""
    found = column.head(SAMPLE).n_unique()
    return found if found > ID_VALUES or column.len() <= SAMPLE else column.n_unique()
