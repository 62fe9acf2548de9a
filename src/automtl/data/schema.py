"""What the columns of a table mean. Plain values, no tensors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError, suggestion

CONFIG = ConfigDict(extra="forbid")


class FieldKind(StrEnum):
    """How a column enters the model."""

    CATEGORICAL = "categorical"
    NUMERIC = "numeric"
    MULTI = "multi"


class TaskKind(StrEnum):
    """Binary tasks use cross-entropy, regression tasks squared error."""

    BINARY = "binary"
    REGRESSION = "regression"


@settings_dataclass(frozen=True, config=CONFIG)
class Field:
    """One input column. `delimiter` splits a text column of several values; `pooling` joins their embeddings.

    `optional`: a table to be scored may lack the column; all its values are then missing.
    """

    name: str
    kind: FieldKind
    delimiter: str | None = None
    pooling: Literal["mean", "sum"] = "mean"
    optional: bool = False


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
        known = {field.name for field in self.fields if field.kind is not FieldKind.MULTI}
        for key in self.rates:
            for name in key:
                if name not in known:
                    raise SchemaError(f"rates key '{name}' is no field of one value{suggestion(name, known)}")

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
