"""The meaning of the columns of a table: fields, tasks and columns with a role. Plain values, no tensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, TypeAdapter
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError, suggestion
from automtl.system.plain import plain_values
from automtl.system.yaml_text import read_yaml
from automtl.tables.entries import CONFIG, Several, read_entry
from automtl.tables.history import History, read_history
from automtl.tables.names import CONTROL


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
    "decimal": (FieldKind.NUMERIC,),
    "thousands": (FieldKind.NUMERIC,),
    "unit": (FieldKind.TIME,),
    "zone": (FieldKind.TIME,),
    "format": (FieldKind.TIME,),
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
    """One input (docs/features.md shows each kind). The encoder's settings decide each option that is None.

    `optional`: a table to be scored may lack the column; all its values are then missing.
    Lists: `delimiter` splits a text column of several values, at most `max_values` are read in a row, and `pooling`
    joins their embeddings. `target`: the categorical field that a sequence is compared with. Times: `unit` of numbers
    since 1970, `format` (strftime) of texts other than ISO, `zone` of the hours (times then have a zone), and the
    `parts` that become inputs. `of`: the two columns of a cross. Ids: `text` says how texts are written alike; a value
    is known from `min_count` rows on, at most `max_ids` are, and all others are hashed into `hashed_ids` ids. `form`:
    how a number becomes an input; `decimal` and `thousands`: its separators where it is text.
    """

    name: str
    kind: FieldKind
    delimiter: str | None = None
    pooling: Literal["mean", "sum", "max", "attention"] = "mean"
    optional: bool = False
    target: str | None = None
    max_values: int | None = Limit(default=None, ge=1, le=1_000_000)
    form: NumericForm | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", " ", "'"] | None = None
    unit: Literal["s", "ms", "us", "ns"] | None = None
    zone: str | None = None
    format: str | None = None
    parts: Several[TimePart] | None = None
    of: tuple[str, str] | None = None
    text: Several[Literal["strip", "lower"]] | None = None
    min_count: int | None = Limit(default=None, ge=1, le=1_000_000_000_000)
    max_ids: int | None = Limit(default=None, ge=1, le=2_000_000_000)
    hashed_ids: int | None = Limit(default=None, ge=0, le=2_000_000_000)

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
        if self.decimal is not None and self.decimal == self.thousands:
            raise SchemaError(f"field '{self.name}': 'decimal' and 'thousands' are both {self.decimal!r}; they differ")
        if self.unit is not None and self.format is not None:
            raise SchemaError(f"field '{self.name}': 'unit' is for numbers, 'format' for texts; give one of them")
        if self.parts == ():
            raise SchemaError(f"field '{self.name}': 'parts' is empty; name some of hour, weekday, day, age")
        if self.parts is not None and len(set(self.parts)) < len(self.parts):
            raise SchemaError(f"field '{self.name}': 'parts' names one part twice; name each once")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that the field is read from."""
        return self.of or (self.name,)


@settings_dataclass(frozen=True, config=CONFIG)
class Task:
    """One label column: its loss, its weight in the total, and the rows on which it holds.

    Quantities: `clip` is the range that labels and predictions are cut to; `transform` is applied while training; what
    is learned is then less `center`, in units of `scale`: where they are None, a fit takes the mean and the standard
    deviation of the training rows. So the loss of always guessing the mean is 1, and `weight` is in such units.
    Binary tasks: `positive_weight` weighs rows of label 1 in the loss, and `negative_share` of the rows of label 0 are
    trained on; predictions are corrected for both. `metrics`: those that are reported. `after`: the stage before this
    one in the schema's funnel.

    >>> automtl.Task("buy", weight=2.0, condition="click = 1").kind.value
    'binary'
    """

    name: str
    kind: TaskKind = TaskKind.BINARY
    weight: float = Limit(default=1.0, le=1e9)
    condition: str | None = None
    transform: Literal["log1p"] | None = None
    clip: tuple[float, float] | None = None
    center: float | None = Limit(default=None, allow_inf_nan=False)
    scale: float | None = Limit(default=None, gt=0, allow_inf_nan=False)
    positive_weight: float | None = Limit(default=None, gt=0, le=1e6)
    negative_share: float | None = Limit(default=None, gt=0, le=1)
    metrics: Several[str] | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise SchemaError("a task has an empty name; name the label column")
        if not self.weight > 0:
            raise SchemaError(f"task '{self.name}': weight {self.weight} must be above 0; drop the task instead")
        if self.condition is not None:
            Condition.parse(self.condition)
        quantities, binaries = ("transform", "clip", "center", "scale"), ("positive_weight", "negative_share")
        other = quantities if self.kind is TaskKind.BINARY else binaries
        for option in other:
            if getattr(self, option) is not None:
                raise SchemaError(f"task '{self.name}': '{option}' is not for a {self.kind} task; remove it")
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise SchemaError(f"task '{self.name}': clip {list(self.clip)} must be a smaller and a larger number")
        if self.clip is not None and self.transform is not None and self.clip[0] < 0:
            raise SchemaError(
                f"task '{self.name}': log1p needs labels of 0 or more; raise clip's {self.clip[0]:g} to 0"
            )


@dataclass(frozen=True)
class Condition:
    """A comparison of a column with a literal, such as `click = 1`. Parsed, never evaluated as code."""

    column: str
    operator: str
    literal: str

    @staticmethod
    def parse(text: str) -> Condition:
        """Parse a text of the form `column operator value`; any name may stand in backquotes.

        Raises SchemaError for any other text.
        """
        found = re.fullmatch(r"\s*(?:`(.+)`|(.+?))\s*(==|!=|>=|<=|=|>|<)\s*(.+?)\s*", text)
        if found is None:
            raise SchemaError(f"condition '{text}': expected 'column operator value', for instance 'click = 1'")
        quoted, plain, operator, literal = found.groups()
        return Condition(quoted or plain, "=" if operator == "==" else operator, literal.strip("'\""))


@settings_dataclass(frozen=True, config=CONFIG)
class Schema:
    """Inputs, tasks and the columns with a role of their own. `target_encoding`: the keys that are target-encoded.

    `outcomes`: columns that are known only afterwards, as labels are; they are never inputs of their own row.
    `history`: what rows know of earlier rows; None where nothing is said, and then a time column decides. `funnel`:
    binary tasks of which each follows the one before (click, then conversion); a label is 1 only where the label of the
    stage before is 1. `negative_share`: the share of training rows with all labels 0 that is kept.

    >>> fields, tasks = [{"name": "user", "kind": "categorical"}], [{"name": "click"}, {"name": "buy", "weight": 2}]
    >>> automtl.Schema.from_dict({"fields": fields, "tasks": tasks}).task_names
    ('click', 'buy')
    """

    fields: Several[Field]
    tasks: Several[Task]
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    split: str | None = None
    target_encoding: Several[Several[str]] = ()
    funnel: Several[str] = ()
    negative_share: float | None = Limit(default=None, gt=0, le=1)
    outcomes: Several[str] = ()
    history: Annotated[History | Literal[False] | None, BeforeValidator(read_history)] = None

    def __post_init__(self) -> None:
        before = {stage: previous for previous, stage in pairwise(self.funnel)}
        tasks = tuple(replace(task, after=before.get(task.name)) for task in self.tasks)
        object.__setattr__(self, "tasks", tasks)
        self._check_funnel()
        if not self.fields:
            raise SchemaError("the schema has no input field; keep at least one column as a field")
        if not self.tasks:
            raise SchemaError("the schema has no task; name at least one label column with --task")
        self._check_names()
        names = [field.name for field in self.fields] + [task.name for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SchemaError(f"column '{twice[0]}' is in the schema twice (as field or task); keep one of them")
        if self.split in names:
            raise SchemaError(f"split column '{self.split}' is also a field or a task; drop it there")
        read = {name for field in self.fields for name in field.columns} | {self.weight, self.group, self.time}
        for field in self.fields:
            if field.of is not None and field.name in read:
                raise SchemaError(f"cross '{field.name}': there is a column of this name in use; choose another name")
        ids = {field.name for field in self.fields if field.kind is FieldKind.CATEGORICAL}
        for field in self.fields:
            if field.target is not None and field.target not in ids:
                raise SchemaError(
                    f"sequence '{field.name}': its target '{field.target}' is no categorical field"
                    f"{suggestion(field.target, ids)}; add that field, or make the sequence 'kind: multi'"
                )
        known = {field.name for field in self.fields if field.kind in SINGLE}
        for key in self.target_encoding:
            for name in key:
                if name not in known:
                    raise SchemaError(f"target_encoding key '{name}' is no field of one value{suggestion(name, known)}")
        self._check_outcomes()
        if self.history:
            self.history.check(known, ids, (*self.task_names, *self.outcomes))

    def _check_outcomes(self) -> None:
        """Raise SchemaError for an outcome column that is twice in the schema."""
        uses = dict.fromkeys(self.columns, "a field") | dict.fromkeys(self.task_names, "a task")
        uses |= {str(getattr(self, role)): f"the {role} column" for role in ("weight", "group", "time", "split")}
        for place, name in enumerate(self.outcomes):
            use = "another outcome" if name in self.outcomes[:place] else uses.get(name)
            if use is not None:
                raise SchemaError(
                    f"outcome '{name}' is also {use}; an outcome is known only after its row, so keep one of them"
                )

    def _check_names(self) -> None:
        """Raise SchemaError for a name that is, or may be, the name of something derived."""
        names = [*(name for field in self.fields for name in (field.name, *field.columns)), *self.task_names]
        for name in (*names, *self.outcomes, self.weight, self.group, self.time, self.split):
            if name is not None and CONTROL.search(name):
                raise SchemaError(f"column {name!r}: its name holds a control character; rename it")
        for name, (_, place) in stage_names(self.tasks).items():
            if name in self.task_names:
                raise SchemaError(
                    f"task '{name}': the funnel's task '{self.tasks[place].name}' has an output of this name; "
                    "rename the label column of one of them"
                )

    def _check_funnel(self) -> None:
        """Raise SchemaError where the funnel's stages are no chain of binary tasks over all rows."""
        if len(self.funnel) == 1 or len(set(self.funnel)) < len(self.funnel):
            raise SchemaError(f"funnel {list(self.funnel)}: name two or more different tasks, the first stage first")
        known = {task.name: task for task in self.tasks}
        for name in self.funnel:
            if name not in known:
                raise SchemaError(f"funnel: '{name}' is no task of the schema{suggestion(name, known)}; add it")
            task = known[name]
            if task.kind is not TaskKind.BINARY:
                raise SchemaError(f"funnel: task '{name}' is a {task.kind} task, stages are binary; take it out")
            if task.condition is not None and Condition.parse(task.condition).column in self.funnel:
                raise SchemaError(
                    f"funnel: task '{name}' is learned on all rows, as the stage after '{task.after}'; "
                    f"remove its condition '{task.condition}'"
                )

    def without(self, names: Collection[str]) -> Schema:
        """Return the schema without some fields, sequences of these targets, keys and histories that need them.

        Raises SchemaError if no field is left.
        """
        kept = tuple(field for field in self.fields if not {field.name, field.target} & set(names))
        keys = tuple(key for key in self.target_encoding if not set(key) & set(names))
        history = self.history.without(names) if self.history else self.history
        return replace(self, fields=kept, target_encoding=keys, history=history)

    def of_tasks(self, names: Collection[str]) -> Schema:
        """Return the schema with only these of its tasks, in this order. Raises KeyError for an unknown one."""
        known = {task.name: task for task in self.tasks}
        funnel = tuple(name for name in self.funnel if name in names)
        history = self.history.of_outcomes((*names, *self.outcomes)) if self.history else self.history
        tasks = tuple(known[name] for name in names)
        return replace(self, tasks=tasks, funnel=funnel if len(funnel) > 1 else (), history=history)

    def with_scales(self) -> Schema:
        """Return the schema of a fitted model, whose quantities without a scale were learned as they are."""
        unscaled = {task.name for task in self.tasks if task.kind is TaskKind.REGRESSION and task.scale is None}
        tasks = (replace(task, center=0.0, scale=1.0) if task.name in unscaled else task for task in self.tasks)
        return replace(self, tasks=tuple(tasks)) if unscaled else self

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that fields are read from, each once."""
        return tuple(dict.fromkeys(name for field in self.fields for name in field.columns))

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the label columns, in order."""
        return tuple(task.name for task in self.tasks)

    @property
    def condition_columns(self) -> set[str]:
        """The columns that the conditions of tasks read."""
        return {Condition.parse(task.condition).column for task in self.tasks if task.condition is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for YAML or JSON."""
        values: dict[str, Any] = TypeAdapter(Schema).dump_python(self, mode="json", exclude_none=True)
        return values

    @staticmethod
    def from_dict(values: Any, where: str = "schema") -> Schema:
        """Build a schema from plain values. Raises SchemaError that names the wrong entry."""
        if isinstance(values, dict) and "rates" in values:  # the name that files of users may have
            values = {"target_encoding" if name == "rates" else name: value for name, value in values.items()}
        return read_entry(Schema, values, where, "'automtl describe'")

    @staticmethod
    def read(path: Path | str) -> Schema:
        """Read a schema file (YAML)."""
        try:
            values = plain_values(Path(path).read_text(encoding="utf-8"), read_yaml)
        except FileNotFoundError:
            raise SchemaError(f"schema file '{path}' does not exist; write one with 'automtl describe --out'") from None
        except (ValueError, OSError) as error:
            raise SchemaError(
                f"schema file '{path}' cannot be read: {str(error).splitlines()[0]}; correct it, or write one anew "
                "with 'automtl describe --out'"
            ) from None
        return Schema.from_dict(values, str(path))

    def text(self) -> str:
        """Return the schema as editable YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def stages(tasks: Sequence[Task]) -> tuple[int, ...]:
    """Return the places of the funnel's tasks, first stage first; empty without a funnel."""
    names = [task.name for task in tasks]
    following = {names.index(task.after): place for place, task in enumerate(tasks) if task.after in names}
    chain = sorted(set(following) - set(following.values()))
    while chain and chain[-1] in following:
        chain.append(following[chain[-1]])
    return tuple(chain)


def stage_names(tasks: Sequence[Task]) -> dict[str, tuple[int | None, int]]:
    """Name a funnel's probabilities, with the places of the stage before, if it is given, and of the stage.

    The first stage is CTR; each later one has a CVR, given the stage before, and a CTCVR, on all rows.
    """
    first, *later = stages(tasks) or (None,)
    if first is None:
        return {}
    names: dict[str, tuple[int | None, int]] = {f"{tasks[first].name}_ctr": (None, first)}
    for before, place in zip((first, *later), later, strict=False):
        names |= {f"{tasks[place].name}_cvr": (before, place), f"{tasks[place].name}_ctcvr": (None, place)}
    return names
