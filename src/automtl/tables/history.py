"""Which histories a table's rows get from earlier rows: the part `history` of a schema. docs/histories.md explains."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, PlainSerializer
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SchemaError, brief, suggestion
from automtl.tables.durations import Seconds, duration_text, entry_as_seconds
from automtl.tables.entries import CONFIG, Several, naming_entries, read_entry

Key = Several[str]
DOCS = "docs/histories.md"
OTHERS = "*"  # in place of a name: all tasks and outcome columns that are not named


def _names(value: Any) -> Any:
    """Read names: one alone stands for a list of one."""
    return (value,) if isinstance(value, str) else value


def _delays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: entry_as_seconds(delay) for name, delay in value.items()}
    return None if value is None else entry_as_seconds(value)


def _delay_texts(value: float | dict[str, float] | None) -> Any:
    if isinstance(value, dict):
        return {name: duration_text(delay) for name, delay in value.items()}
    return None if value is None else duration_text(value)


def _sequence(value: Any) -> Any:
    return read_entry(SequenceHistory, value, "history: sequence", DOCS) if isinstance(value, dict) else value


def read_history(value: Any) -> Any:
    """Read the entry `history`: true, false, frozen or a mapping. Raises SchemaError."""
    if value is True or value == "frozen":
        return History(frozen=value is not True)
    if isinstance(value, dict):
        return read_entry(History, value, "history", DOCS)
    if value is None or value is False or isinstance(value, History):
        return value
    raise SchemaError(f"history: {brief(value)} is neither true, false, frozen nor a mapping; see {DOCS}")


Delays = Annotated[
    float | dict[str, float] | None, BeforeValidator(_delays), PlainSerializer(_delay_texts, when_used="json")
]


AnyHistory = Union["History", Literal[False], None]


@settings_dataclass(frozen=True, config=CONFIG)
class SequenceHistory:
    """The last `length` events of the rows that share `key`, each with its `fields`, the item first."""

    key: str
    fields: Annotated[Key, BeforeValidator(_names)]
    length: int = Limit(default=20, ge=1, le=1000)

    def __post_init__(self) -> None:
        if not self.fields or len(set(self.fields)) < len(self.fields):
            raise SchemaError(f"history: sequence: fields {list(self.fields)} name none or one twice; correct them")

    def without(self, names: Collection[str]) -> SequenceHistory | Literal[False]:
        """Return the sequence without some fields; False if its key or all of its fields are gone."""
        kept = tuple(name for name in self.fields if name not in names)
        return replace(self, fields=kept) if kept and self.key not in names else False


@settings_dataclass(frozen=True, config=CONFIG)
class History:
    """The histories of a schema: the knowledge of rows about earlier rows of the log. None: the table decides.

    Durations are seconds, or texts such as 1h. `keys`: fields, or groups of fields, whose rows share a history.
    `label_delay`: the time after which labels and outcomes are known, one for all or by name; None counts as 0, and
    nothing was said. `half_lives`: of the decayed statistics. `last`: events of a key whose outcomes are inputs.
    `session`: a longer gap begins a new one. `frozen`: nothing is learned from rows after the training rows.
    `max_keys`: the most recent ones that the state of a key holds. `sequence`: events that enter the network one by
    one. `unit`: of a time column of plain numbers.

    >>> History(keys=["user_id", ["user_id", "item_id"]], label_delay="1h").delay_of("click")
    3600.0
    """

    keys: Several[Annotated[Key, BeforeValidator(_names)]] | None = None
    label_delay: Delays = None
    half_lives: Annotated[Several[Seconds], Limit(max_length=20)] | None = None
    last: int = Limit(default=3, ge=0, le=100)
    session: Seconds = 1800.0
    frozen: bool = False
    max_keys: int = Limit(default=10_000_000, ge=1, le=1_000_000_000_000)
    sequence: Annotated[SequenceHistory | Literal[False] | None, BeforeValidator(_sequence)] = None
    unit: Literal["ns", "us", "ms", "s", "min", "h", "d"] | None = None

    def __post_init__(self) -> None:
        if self.session == 0 or (self.half_lives is not None and 0.0 in self.half_lives):
            raise SchemaError("history: 'session' and 'half_lives' must be above 0; leave them out for the defaults")
        for key in self.keys or ():
            if not key or len(set(key)) < len(key):
                raise SchemaError(f"history: key {list(key)} names no field or one twice; correct it")
        if len(set(self.keys or ())) < len(self.keys or ()):
            raise SchemaError("history: 'keys' holds a key twice; leave one out")

    def delay_of(self, name: str) -> float:
        """Return the seconds after which the label of a task, or an outcome column, is known."""
        if isinstance(self.label_delay, dict):
            return self.label_delay.get(name, self.label_delay.get(OTHERS, 0.0))
        return self.label_delay or 0.0

    def check(self, fields: Collection[str], ids: Collection[str], outcomes: Collection[str]) -> None:
        """Raise SchemaError for what is none of the `fields` of one value, no id, or no task or outcome column."""
        keys = [*(self.keys or ()), *([(self.sequence.key,)] if self.sequence else [])]
        named = [("key", name, fields, "field of one value") for key in keys for name in key]
        if self.sequence:
            named += [("sequence", name, ids, "categorical field") for name in self.sequence.fields]
        for what, name, known, kind in named:
            if name not in known:
                raise SchemaError(f"history: {what} '{name}' is no {kind}{suggestion(name, known)}")
        for name in self.label_delay if isinstance(self.label_delay, dict) else ():
            if name not in (OTHERS, *outcomes):
                raise SchemaError(
                    f"history: label_delay: '{name}' is neither a task nor an outcome{suggestion(name, outcomes)}"
                )

    def without(self, names: Collection[str]) -> History | Literal[False]:
        """Return the history without keys and sequences that need some fields; False if nothing is left of it."""
        keys = None if self.keys is None else tuple(key for key in self.keys if not set(key) & set(names))
        sequence = self.sequence.without(names) if self.sequence else self.sequence
        return False if keys == () and sequence is False else replace(self, keys=keys, sequence=sequence)

    def of_outcomes(self, names: Iterable[str]) -> History:
        """Return the history with only the delays of these tasks and outcome columns."""
        if not isinstance(self.label_delay, dict):
            return self
        kept = (OTHERS, *names)
        return replace(self, label_delay={name: delay for name, delay in self.label_delay.items() if name in kept})

    def filled(self, other: History) -> History:
        """Return the history with what it leaves to the table as `other` has it."""
        kept = {name: getattr(self, name) for name in ("keys", "half_lives", "sequence", "unit")}
        return replace(self, **{name: getattr(other, name) for name, value in kept.items() if value is None})


def declared_history(said: AnyHistory, history: Any, label_delay: Any) -> AnyHistory:
    """Return what a schema said of histories, changed by an entry `history` and by label delays; None: no change.

    Raises SchemaError where labels are delayed and there are no histories.
    """
    given = read_history(history)
    if given is not None and not (history is True and said):
        said = replace(said or given, frozen=True) if history == "frozen" else given
    if label_delay is None:
        return said
    if said is False:
        raise SchemaError("a label delay is given, but histories are turned off; leave out one of them")
    with naming_entries("label delay", DOCS):
        return replace(said or History(), label_delay=label_delay)


def read_delays(texts: Sequence[str]) -> str | dict[str, str] | None:
    """Read label delays such as `1h`, of all outcomes, and `click=1d`, of one. Raises SchemaError for one given twice.

    >>> read_delays(["1h", "click=1d"])
    {'*': '1h', 'click': '1d'}
    """
    parts = [text.rpartition("=") for text in texts]
    found = {name.strip() if sign else OTHERS: delay for name, sign, delay in parts}
    if len(found) < len(texts):
        raise SchemaError(f"label delays {', '.join(texts)}: one is given twice; give one for all, and one by name")
    return found.get(OTHERS) if found.keys() <= {OTHERS} else found
