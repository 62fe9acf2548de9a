"""What the columns of a table mean. Plain values, no tensors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError, suggestion

CONFIG = ConfigDict(extra="forbid")


class FieldKind(StrEnum):
    """How a column enters the model."""

    CATEGORICAL = "categorical"
    NUMERIC = "numeric"
    MULTI = "multi"
    SEQUENCE = "sequence"
    TIME = "time"
    CROSS = "cross"


NumericForm = Literal["auto", "z-score", "log", "quantile", "piecewise"]
TimePart = Literal["hour", "weekday", "day", "age"]
SINGLE = (FieldKind.CATEGORICAL, FieldKind.NUMERIC)  # of one value a row, which is a column of the table
_IDS = (FieldKind.CATEGORICAL, FieldKind.MULTI, FieldKind.CROSS)
_LISTS = (FieldKind.MULTI, FieldKind.SEQUENCE)
_KINDS: dict[str, tuple[FieldKind, ...]] = {  # which kinds of field an option is for
    "delimiter": _LISTS,
    "target": (FieldKind.SEQUENCE,),
    "max_values": _LISTS,
    "form": (FieldKind.NUMERIC,),
    "unit": (FieldKind.TIME,),
    "parts": (FieldKind.TIME,),
    "of": (FieldKind.CROSS,),
    "text": (FieldKind.CATEGORICAL, FieldKind.MULTI),
    "min_count": _IDS,
    "max_ids": _IDS,
    "hashed_ids": _IDS,
}
_NEEDED = {FieldKind.SEQUENCE: "target", FieldKind.CROSS: "of"}


class TaskKind(StrEnum):
    """Binary tasks use cross-entropy, regression tasks squared error."""

    BINARY = "binary"
    REGRESSION = "regression"


@settings_dataclass(frozen=True, config=CONFIG)
class Field:
    """One input (docs/features.md shows each kind). What is None, the encoder's settings decide.

    `optional`: a table to be scored may lack the column; all its values are then missing.
    Lists: `delimiter` splits a text column of several values, `max_values` are read of a row, `pooling` joins their
    embeddings. `target`: the categorical field that a sequence is compared with. Times: `unit` of whole numbers, and
    `parts` that become inputs. `of`: the two columns of a cross. Ids: how `text` is written alike, `min_count` rows of
    a known value, at most `max_ids` known ones, all others hashed into `hashed_ids`. `form` of a number.
    """

    name: str
    kind: FieldKind
    delimiter: str | None = None
    pooling: Literal["mean", "sum", "max", "attention"] = "mean"
    optional: bool = False
    target: str | None = None
    max_values: int | None = Limit(default=None, ge=1)
    form: NumericForm | None = None
    unit: Literal["s", "ms"] | None = None
    parts: tuple[TimePart, ...] | None = None
    of: tuple[str, str] | None = None
    text: tuple[Literal["strip", "lower"], ...] | None = None
    min_count: int | None = Limit(default=None, ge=1)
    max_ids: int | None = Limit(default=None, ge=1)
    hashed_ids: int | None = Limit(default=None, ge=0)

    def __post_init__(self) -> None:
        for option, kinds in _KINDS.items():
            if getattr(self, option) is not None and self.kind not in kinds:
                raise SchemaError(
                    f"field '{self.name}': '{option}' is for {' and '.join(kinds)} fields, this one is {self.kind}; "
                    "remove it"
                )
        needed = _NEEDED.get(self.kind)
        if needed is not None and getattr(self, needed) is None:
            raise SchemaError(f"field '{self.name}': a {self.kind} field needs '{needed}'; see docs/features.md")
        if self.parts == ():
            raise SchemaError(f"field '{self.name}': 'parts' is empty; name some of hour, weekday, day, age")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that it is read from."""
        return self.of or (self.name,)


@settings_dataclass(frozen=True, config=CONFIG)
class Task:
    """One label column: its loss, its weight in the total, and the rows on which it holds."""

    name: str
    kind: TaskKind = TaskKind.BINARY
    weight: float = 1.0
    condition: str | None = None

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise SchemaError(f"task '{self.name}': weight {self.weight} must be above 0; drop the task instead")
        if self.condition is not None:
            Condition.parse(self.condition)


@dataclass(frozen=True)
class Condition:
    """`column operator literal`, such as `click = 1`. Parsed, never evaluated as code."""

    column: str
    operator: str
    literal: str

    @staticmethod
    def parse(text: str) -> Condition:
        """Raises SchemaError unless the text is `column operator value`."""
        found = re.fullmatch(r"\s*(.+?)\s*(==|!=|>=|<=|=|>|<)\s*(.+?)\s*", text)
        if found is None:
            raise SchemaError(f"condition '{text}': expected 'column operator value', for instance 'click = 1'")
        column, operator, literal = found.groups()
        return Condition(column, "=" if operator == "==" else operator, literal.strip("'\""))


@settings_dataclass(frozen=True, config=CONFIG)
class Schema:
    """Inputs, tasks and the columns with a role of their own. `rates`: keys whose historical rates are inputs."""

    fields: tuple[Field, ...]
    tasks: tuple[Task, ...]
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    split: str | None = None
    rates: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.fields:
            raise SchemaError("the schema has no input field; keep at least one column as a field")
        if not self.tasks:
            raise SchemaError("the schema has no task; name at least one label column with --task")
        names = [field.name for field in self.fields] + [task.name for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SchemaError(f"column '{twice[0]}' is in the schema twice (as field or task); keep one of them")
        if self.split in names:
            raise SchemaError(f"split column '{self.split}' is also a field or a task; drop it there")
        ids = {field.name for field in self.fields if field.kind is FieldKind.CATEGORICAL}
        for field in self.fields:
            if field.target is not None and field.target not in ids:
                raise SchemaError(
                    f"sequence '{field.name}': its target '{field.target}' is no categorical field"
                    f"{suggestion(field.target, ids)}; add that field, or make the sequence 'kind: multi'"
                )
        known = {field.name for field in self.fields if field.kind in SINGLE}
        for key in self.rates:
            for name in key:
                if name not in known:
                    raise SchemaError(f"rates key '{name}' is no field of one value{suggestion(name, known)}")

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that fields are read from, each once."""
        return tuple(dict.fromkeys(name for field in self.fields for name in field.columns))

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the label columns, in order."""
        return tuple(task.name for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML or JSON."""
        values: dict[str, Any] = TypeAdapter(Schema).dump_python(self, mode="json", exclude_none=True)
        return values

    @staticmethod
    def from_dict(values: Any, where: str = "schema") -> Schema:
        """Raises SchemaError that names the entry that is wrong."""
        try:
            return TypeAdapter(Schema).validate_python(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise SchemaError(
                f"{where}: entry '{place}': {first['msg']}; see 'automtl describe' for an example"
            ) from None

    @staticmethod
    def read(path: Path | str) -> Schema:
        """Read a schema file (YAML)."""
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SchemaError(f"schema file '{path}' does not exist; write one with 'automtl describe --out'") from None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise SchemaError(f"schema file '{path}' cannot be read: {str(error).splitlines()[0]}") from None
        return Schema.from_dict(values, str(path))

    def text(self) -> str:
        """The schema as editable YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
