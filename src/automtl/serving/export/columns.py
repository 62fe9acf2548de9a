"""The raw columns of a model as inputs of ONNX, and the codes of their values.

N rows, L values of the longest list. What ONNX cannot compute enters as the encoder would give it, under a name of its
own (`user:id`, `title:text`, `shown:local`), so that nothing is read otherwise than it is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from automtl.errors import SettingsError
from automtl.features.encoder import Encoder
from automtl.features.vocabulary import MISSING, UNKNOWN, Vocabulary
from automtl.serving.export.graph import Graph
from automtl.serving.export.lookups import Known, looked_up_numbers, looked_up_texts, looked_up_whole
from automtl.serving.export.numbers import plain
from automtl.serving.export.times import Moments
from automtl.tables.derive import part_name
from automtl.tables.names import shown
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import JOINT

ROWS = "rows"  # name of the dimension of rows


@dataclass(frozen=True)
class RawInput:
    """One input of the exported model: its name, where it comes from and what it holds.

    `form`: text, texts, number, stamp, time, ids, numbers or events. `source`: the column, or the derived name.
    """

    name: str
    form: str
    source: str
    meaning: str


FORMS: dict[str, tuple[type, bool]] = {  # numpy's type of each form, and whether there is a second dimension
    "text": (object, False),
    "texts": (object, True),
    "number": (np.float64, False),
    "stamp": (np.float64, False),
    "time": (np.int64, False),
    "id": (np.int64, False),
    "ids": (np.int64, True),
    "events": (np.int64, True),
    "numbers": (np.float32, True),
}


@dataclass
class Columns:
    """Makes inputs of the columns that are asked for, each once."""

    graph: Graph
    encoder: Encoder
    inputs: dict[str, RawInput] = field(default_factory=dict)
    _codes: dict[tuple[str, ...], list[tuple[pl.Series, str]]] = field(default_factory=dict)
    _numbers: dict[str, str] = field(default_factory=dict)
    _moments: dict[str, Moments] = field(default_factory=dict)

    def given(self, name: str, form: str, source: str, meaning: str, width: int | None = None) -> str:
        """Return the name of an input. Raises SettingsError where two columns would need the same name."""
        one = RawInput(name, form, source, meaning)
        if self.inputs.setdefault(name, one) != one:
            raise SettingsError(f"column '{source}': the input '{name}' is another column's; rename one of them")
        dtype, several = FORMS[form]
        shape = [ROWS, width if width is not None else f"values of {name}"] if several else [ROWS]
        return self.graph.input(name, dtype, shape, meaning)

    def field(self, name: str) -> Field | None:
        """Return the schema's field of this column."""
        return next((one for one in self.encoder.schema.fields if one.name == name), None)

    def number(self, name: str) -> str:
        """Return a numeric column, (N,) float64, NaN where missing."""
        if name not in self._numbers:
            given = self.given(name, "number", name, "number; NaN where missing")
            self._numbers[name] = plain(self.graph, given)
        return self._numbers[name]

    def moments(self, time: Field) -> Moments:
        """Return the times of a field."""
        if time.name not in self._moments:
            self._moments[time.name] = self._read_moments(time)
        return self._moments[time.name]

    def _read_moments(self, time: Field) -> Moments:
        name = time.name
        if time.unit is not None and time.zone in (None, "UTC"):
            meaning = f"number of '{time.unit}' since 1970; NaN where missing"
            stamps = plain(self.graph, self.given(name, "stamp", name, meaning))
            return Moments.of_stamps(self.graph, stamps, time.unit)
        if time.zone is None:
            meaning = "microseconds since 1970, as the clock shows; the smallest int64 where missing"
            return Moments.of(self.graph, self.given(name, "time", name, meaning))
        meaning = f"microseconds since 1970 by the clock of {time.zone}; the smallest int64 where missing"
        return Moments.of(self.graph, self.given(shown_part(name, "local"), "time", name, meaning))

    def text(self, name: str) -> str:
        """Return a column of texts, (N,)."""
        rules = None if (one := self.field(name)) is None else one.text
        return self.given(*_text_input(name, rules, "text"))

    def texts(self, one: Field) -> str:
        """Return a column of lists of texts, (N, L)."""
        target = one if one.target is None else self.field(one.target)
        return self.given(*_text_input(one.name, None if target is None else target.text, "texts"))

    def ids(self, name: str, vocabulary: Vocabulary) -> str:
        """Return the ids, (N,) int64, of a categorical field, which may be a part of a time or a cross."""
        if vocabulary.hashed:
            return self._encoded(name, "id", vocabulary)
        for time in self.encoder.schema.fields:
            parts = () if time.kind is not FieldKind.TIME else ("hour", "weekday", "day")
            for part in parts:
                if part_name(time, part) == name:  # type: ignore[arg-type]
                    moments = self.moments(time)
                    known = Known.of(vocabulary.values)
                    return looked_up_whole(self.graph, moments.part(part), moments.missing, known)  # type: ignore[arg-type]
        crossed = self.field(name)
        columns = crossed.columns if crossed is not None else (name,)
        return self.codes(columns, vocabulary.values)

    def lists(self, one: Field, vocabulary: Vocabulary) -> str:
        """Return the ids, (N, L) int64, of a list field; those beyond its most values are 0, as padding is."""
        if vocabulary.hashed:
            flat = self._encoded(one.name, "ids", vocabulary)
        else:
            texts = self.texts(one)
            shape = self.graph.op("Shape", texts)
            rows = self.graph.op("Reshape", texts, self.graph.constant([-1], np.int64))
            codes = looked_up_texts(self.graph, rows, Known.of(vocabulary.values))
            flat = self.graph.op("Reshape", codes, shape)
        padding = self.graph.constant([0, 0, 0, 1], np.int64)  # so that there is a list where L is 0
        padded = self.graph.op("Pad", flat, padding, self.graph.constant(MISSING, np.int64))
        return self._cut(padded, self.encoder.settings.of(one).max_values, last=one.kind is FieldKind.SEQUENCE)

    def _cut(self, ids: str, most: int, *, last: bool) -> str:
        """Leave the first or the last `most` ids of each row."""
        zero, axis = self.graph.constant(0, np.int64), self.graph.constant(1, np.int64)
        given = self.graph.cast(self.graph.op("Greater", ids, zero), np.int64)
        place = self.graph.op("CumSum", given, axis)
        if last:
            total = self.graph.op("ReduceSum", given, self.graph.constant([1], np.int64))
            place = self.graph.op("Add", self.graph.op("Sub", total, place), self.graph.constant(1, np.int64))
        kept = self.graph.op("LessOrEqual", place, self.graph.constant(most, np.int64))
        return self.graph.op("Where", kept, ids, zero)

    def _encoded(self, name: str, form: str, vocabulary: Vocabulary) -> str:
        """Return ids as the encoder gives them; what is no id of the field is unknown."""
        meaning = f"id as the encoder gives it, below {len(vocabulary)}: its values are hashed; 0 where missing"
        given = self.given(shown_part(name, form), form, name, meaning)
        low = self.graph.op("Less", given, self.graph.constant(0, np.int64))
        high = self.graph.op("GreaterOrEqual", given, self.graph.constant(len(vocabulary), np.int64))
        odd = self.graph.op("Or", low, high)
        return self.graph.op("Where", odd, self.graph.constant(UNKNOWN, np.int64), given)

    def codes(self, names: Sequence[str], values: pl.Series) -> str:
        """Return the ids, (N,) int64, of the values of one column, or of the values of several together."""
        for known, found in self._codes.get(tuple(names), ()):
            if known.dtype == values.dtype and known.equals(values):
                return found
        found = self._single(names[0], Known.of(values)) if len(names) == 1 else self._together(names, values)
        self._codes.setdefault(tuple(names), []).append((values, found))
        return found

    def _single(self, name: str, known: Known) -> str:
        one = self.field(name)
        if one is not None and one.kind is FieldKind.NUMERIC:
            return looked_up_numbers(self.graph, self.number(name), known)
        if one is not None and one.kind is not FieldKind.CATEGORICAL:
            raise SettingsError(
                f"column '{name}' is {one.kind} and part of a cross, which ONNX cannot compute; "
                "use 'automtl export --format torch', or fit without the cross"
            )
        return looked_up_texts(self.graph, self.text(name), known)

    def _together(self, names: Sequence[str], values: pl.Series) -> str:
        """Look up each part of the known values, and then what the codes of the parts make together."""
        parts = [value.split(JOINT) for value in values.cast(pl.String).to_list()]
        joint = np.zeros(len(parts), np.int64)
        found, missing = "", ""
        for place, name in enumerate(names):
            texts = list(dict.fromkeys(one[place] for one in parts))
            size = len(texts) + 1  # the last code is that of unknown values
            own = Known(texts, np.arange(len(texts), dtype=np.int64), missing=-1, unknown=len(texts))
            codes = {text: code for code, text in enumerate(texts)}
            joint = joint * size + np.array([codes[one[place]] for one in parts], np.int64)
            given = self._single(name, own)
            absent = self.graph.op("Less", given, self.graph.constant(0, np.int64))
            scaled = self.graph.op("Mul", found, self.graph.constant(size, np.int64)) if found else ""
            found = self.graph.op("Add", scaled, given) if scaled else given
            missing = self.graph.op("Or", missing, absent) if missing else absent
        known = Known.of(values)
        ids = self.graph.mapped(found, joint, known.codes, UNKNOWN)
        return self.graph.op("Where", missing, self.graph.constant(MISSING, np.int64), ids)


def shown_part(name: str, part: str) -> str:
    """Name an input that is not the raw column itself."""
    return f"{shown(name)}:{part}"


def _text_input(name: str, rules: Sequence[str] | None, form: str) -> tuple[str, str, str, str]:
    padded = "; '' where missing" if form == "text" else "; '' fills up shorter lists"
    if rules is None:
        return name, form, name, f"text of the id{padded}"
    return shown_part(name, "text"), form, name, f"text of the id, written alike ({', '.join(rules)}){padded}"
