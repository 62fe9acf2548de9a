"""The law of forms: a table in two storage forms is encoded to the same bits, or refused by the name of a column."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Any

import numpy as np
import polars as pl

from automtl.config import Settings
from automtl.dataset.store import data_loader
from automtl.errors import AutomtlError
from automtl.experiment.prepare import prepare_table
from automtl.experiment.source import TableSource
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.roles import TableRoles
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings, split_rule, split_table
from automtl.tables.table import read_table
from tests.forms.files import FORMS, Columns
from tests.forms.kinds import KINDS, Kind, Values, fractions, moments, some, whole
from tests.forms.storage import TYPES, Marks, Stored, as_written, plain, stored, truth_word

Bits = dict[str, np.ndarray]
SETTINGS = EncoderSettings(min_count=1)
NAMES = (
    "plain",
    "two words",
    "^gspc$",
    "*",
    "a:hour",
    "été",
    "a,b",
    "a;b",
    "x|y",
    "price:bin",
    "__index",
    "1",
    "true",
    "a.b",
)
LABEL = Kind("truth", lambda rng: [True, False], {})
QUANTITY = Kind("number", fractions(2, 900), {}, missing=0.1)
ROLES: dict[str, Kind] = {
    "label": replace(LABEL, missing=0.0),
    "weight": Kind(
        "number", lambda rng: [fraction for fraction in map(abs, fractions(2, 900)(rng)) if fraction], {}, 0.0
    ),
    "split": Kind("id", lambda rng: ["train", "val", "test"], {}, 0.0),
    "quantity": Kind("number", fractions(2, 900), {}),
    "group": Kind("id", whole(0, 12), {}),
    "group of words": Kind("id", some(["u1", "u2", "007", "7", "é"]), {}),
    "group of large ids": Kind("id", whole(2**60, 2**60 + 40), {}),
    "time": Kind("time", moments(dt.timedelta(hours=1)), {}, 0.0),
    "time as a number": Kind("number", whole(0, 5000), {}, 0.0),
}
CONDITIONED = ("small ids", "large ids", "leading zeros", "fractions", "truths", "counts", "prices", "local times")


def condition(rng: Random, name: str, kind: Kind, values: Values) -> str:
    """Compare a column with one of its values, written in one of its forms."""
    value = rng.choice([one for one in values if one is not None])
    equal = kind.reader in ("id", "truth")
    spell = {"truth": truth_word, "time": lambda rng, value, kind, marks: str(value)}.get(kind.reader, as_written)
    literal = spell(rng, value, kind, Marks())
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 and rng.random() < 0.3:
        literal += ".0"
    return f"{name} {rng.choice(['=', '!='] if equal else ['>=', '<=', '>='])} {literal}"


@dataclass
class Table:
    """A table of Python values and what its columns mean."""

    columns: dict[str, tuple[Kind, Values]]
    schema: dict[str, Any]
    marks: Marks
    kinds: dict[str, str] = field(default_factory=dict)

    def without(self, name: str) -> Table:
        """Leave out a column and what is made of it."""
        columns = {other: column for other, column in self.columns.items() if other != name}
        schema = {role: value for role, value in self.schema.items() if value != name}
        schema["fields"] = [one for one in schema["fields"] if name not in (one["name"], *one.get("of", ()))]
        schema["tasks"] = [
            one
            for one in schema["tasks"]
            if one["name"] != name and not one.get("condition", "").startswith(f"{name} ")
        ]
        schema["target_encoding"] = [key for key in schema["target_encoding"] if name not in key]
        return replace(self, columns=columns, schema=schema)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns["y"][1])


def make_table(rng: Random, kinds: Sequence[str], rows: int = 24) -> Table:
    """Draw a table with a column of each of these kinds, and columns with roles."""
    marks = Marks(*rng.choice([(".", None), (".", ","), (",", None), (",", ".")]), rng.choice([None, "|", "/"]))
    names = rng.sample(NAMES, len(NAMES))
    columns: dict[str, tuple[Kind, Values]] = {"item": (KINDS["small ids"], rng.choices(range(6), k=rows))}
    fields: list[dict[str, Any]] = [{"name": "item", "kind": "categorical"}]
    told = {"item": "small ids"}
    for place, kind_name in enumerate(kinds):
        kind, name = KINDS[kind_name], names[place] if place < len(names) else f"c{place}"
        columns[name], told[name] = (kind, kind.draw(rng, rows)), kind_name
        fields.append({"name": name, **_entry(kind, marks)})
    pair = [name for name, kind in told.items() if KINDS[kind].reader in ("id", "truth")][-2:]
    if len(pair) == 2 and rng.random() < 0.3:
        fields.append({"name": "pair of columns", "kind": "cross", "of": pair})
    schema: dict[str, Any] = {"fields": fields, "tasks": [{"name": "y"}]}
    _add_roles(rng, rows, columns, told, schema)
    order = rng.sample(list(columns), len(columns))
    return Table({name: columns[name] for name in order}, schema, marks, told)


def _entry(kind: Kind, marks: Marks) -> dict[str, Any]:
    """Return the schema entry of a kind, with the marks of the table."""
    entry = dict(kind.entry)
    if entry["kind"] == "numeric":
        entry |= {} if marks.decimal == "." else {"decimal": marks.decimal}
        entry |= {} if marks.thousands is None else {"thousands": marks.thousands}
    if entry["kind"] in ("multi", "sequence") and marks.delimiter:
        entry["delimiter"] = marks.delimiter
    return entry


def _add_roles(
    rng: Random, rows: int, columns: dict[str, tuple[Kind, Values]], told: dict[str, str], schema: dict[str, Any]
) -> None:
    columns["y"] = ROLES["label"], ROLES["label"].draw(rng, rows)
    told["y"] = "label"
    wanted = [role for role in ROLES if role != "label" and rng.random() < 0.3]
    for role in wanted:
        part = role.split()[0]
        if part in schema and part != "label":
            continue
        name = f"{part} column"
        columns[name], told[name] = (ROLES[role], ROLES[role].draw(rng, rows)), role
        if role == "quantity":
            schema["tasks"].append({"name": name, "kind": "regression"})
        else:
            schema[part] = name
    keys = [one["name"] for one in schema["fields"] if one["kind"] in ("categorical", "numeric")]
    schema["target_encoding"] = [rng.sample(keys, rng.randint(1, min(2, len(keys))))] * (rng.random() < 0.3)
    able = [name for name, kind in told.items() if kind in CONDITIONED]
    if able and rng.random() < 0.5:
        column = rng.choice(able)
        columns["conditioned"], told["conditioned"] = (QUANTITY, QUANTITY.draw(rng, rows)), "quantity"
        holds = condition(rng, column, *columns[column])
        schema["tasks"].append({"name": "conditioned", "kind": "regression", "condition": holds})


@dataclass
class Chosen:
    """A table in a form: of each column the type, and what it is stored as."""

    form: str
    types: dict[str, str]
    columns: Columns

    def without(self, name: str) -> Chosen:
        """Leave out a column."""
        return replace(self, columns={other: column for other, column in self.columns.items() if other != name})

    def source(self, folder: Path, seed: int, marks: Marks, name: str = "table") -> Any:
        """Write it."""
        form = FORMS[self.form]
        return form.write(self.columns, folder / f"{name}{form.ending or ''}", Random(seed), marks)

    def loses(self, name: str) -> bool:
        """Tell whether a column is changed when it is written, so that it may be refused."""
        return FORMS[self.form].loses(self.columns[name])


def choose(
    rng: Random, table: Table, form: str, rows: slice = slice(None), *, texts: bool | None = None
) -> Chosen | None:
    """Choose a type for each column; None if the form holds one of them in none. `texts`: of times and lists."""
    types: dict[str, str] = {}
    columns: Columns = {}
    for name, (kind, values) in table.columns.items():
        able: dict[str, Stored] = {}
        for type_name in rng.sample(list(TYPES), len(TYPES)):
            found = stored(type_name, rng, values[rows], kind, table.marks)
            if texts is not None and not _alike(type_name, kind, texts):
                continue
            if found is not None and FORMS[form].holds(found) and not _confusing(form, type_name, kind, table.marks):
                able[type_name] = found
                break
        if not able:
            return None
        ((types[name], columns[name]),) = able.items()
    return Chosen(form, types, columns)


def _alike(type_name: str, kind: Kind, texts: bool) -> bool:
    """Tell whether a type may stand in one of several parts: times and lists are all of them texts, or none is."""
    if kind.entry.get("unit"):
        return "since 1970" in type_name
    return kind.reader not in ("time", "list") or (TYPES[type_name].text == texts and "objects" not in type_name)


def _confusing(form: str, type_name: str, kind: Kind, marks: Marks) -> bool:
    """Tell whether a program with a decimal comma would write it into numbers that are no `numeric` field."""
    floats = TYPES[type_name].floats or "Decimal" in type_name or type_name in ("objects", "mixed objects")
    return marks.decimal == "," and "csv" in form and floats and kind.entry.get("kind") != "numeric"


def encoded(batch: Batch, encoder: Encoder) -> Bits:
    """Return what a model sees, by name."""
    layout = encoder.layout
    bits = {"item and others": np.zeros(0)}
    for place, one in enumerate(layout.categorical):
        bits[f"ids of {one.name}"] = batch.features.categorical[:, place].numpy()
    for place, many in enumerate(layout.multi):
        bits[f"lists of {many.name}"] = batch.features.multi[place].numpy()
    names = [name for group in layout.numeric for name in group.columns]
    for place, name in enumerate(names):
        bits[f"number {name}"] = batch.features.numeric[:, place].numpy()
    for place, task in enumerate(layout.tasks):
        bits[f"label {task.name}"] = batch.labels[:, place].numpy()
        bits[f"mask {task.name}"] = batch.mask[:, place].numpy()
    bits["weight"] = batch.weight.numpy()
    if batch.group is not None:
        bits["group"] = batch.group.numpy()
    return bits


def parts_of(table: pl.DataFrame, schema: Schema) -> Bits:
    """Return the part of each row in each split that the schema allows."""
    found = {}
    methods: list[Any] = ["time"] if schema.time else []
    methods += ["user"] if schema.group else []
    rows = TableRoles(table, schema)
    for method in ["random"] if schema.split else methods:
        settings = SplitSettings(method=method)
        found[f"part by {schema.split or method}"] = split_rule([rows], schema, settings, 0)(rows, 0).astype(np.int64)
    return found


def differences(one: Bits, other: Bits) -> list[str]:
    """Name what differs, and its first row."""
    return [f"{name} ({where})" for name in {**one, **other} if (where := _where(one.get(name), other.get(name)))]


def _where(one: np.ndarray | None, other: np.ndarray | None) -> str:
    if one is None or other is None or len(one) != len(other):
        return "not alike"
    if one.shape != other.shape:
        return f"widths {one.shape[1]} and {other.shape[1]}"
    rows = np.flatnonzero((one != other).reshape(len(one), -1).any(1)) if len(one) else ()
    return f"row {rows[0]}: {one[rows[0]]} and {other[rows[0]]}" if len(rows) else ""


@dataclass
class Outcome:
    """`kind`: equal, refused, different (also refused without need, or an error that is none of ours)."""

    kind: str
    what: str = ""


@contextmanager
def quietly() -> Iterator[None]:
    """Keep warnings of small tables to ourselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compare(table: Table, one: Chosen, other: Chosen, folder: Path, seed: int) -> Outcome:
    """Encode a table in two forms: by the encoder of the first, and each by its own."""
    sources = [form.source(folder, seed, table.marks, f"table{place}") for place, form in enumerate((one, other))]
    try:
        schema = Schema.from_dict(table.schema)
        with quietly():
            first, second = map(read_table, sources)
            fits = [_fitted(each, schema) for each in (first, second)]
            if any(isinstance(one, str) for one in fits):
                return _both_refused(table, (one, other), fits)
            (encoder, batch), (own, again) = fits
            found = differences(encoded(batch, encoder), encoded(again, own))
            rows = (encoded(encoder.encode(each), encoder) | parts_of(each, schema) for each in (first, second))
            found += [f"{name} by the encoder of the first form" for name in differences(*rows)]
            found += faithful(table, encoded(batch, encoder))
    except AutomtlError as error:
        return refusal(table, (one, other), str(error))
    except Exception as error:
        return Outcome("different", traceback(error))
    return Outcome("different", ", ".join(found)) if found else Outcome("equal")


def _fitted(table: pl.DataFrame, schema: Schema) -> tuple[Encoder, Batch] | str:
    try:
        return Encoder.fit(table, schema, SETTINGS, 0)
    except AutomtlError as error:
        return str(error)


def _both_refused(table: Table, forms: Sequence[Chosen], fits: Sequence[Any]) -> Outcome:
    messages = [one for one in fits if isinstance(one, str)]
    if any(words in messages[0] for words in ALIKE):  # what both forms must lack
        return Outcome("refused" if messages[0] == messages[-1] and len(messages) == 2 else "different", messages[0])
    return refusal(table, forms, messages[0])


def traceback(error: Exception) -> str:
    """Tell where an error came from that is none of ours."""
    last = [frame for frame in extract_tb(error.__traceback__) if "automtl" in frame.filename][-1:]
    return f"{type(error).__name__}: {str(error)[:200]} ({', '.join(f'{one.filename}:{one.lineno}' for one in last)})"


def faithful(table: Table, bits: Bits) -> list[str]:
    """Name columns of one id a row in which different values have one id, or equal ones several, or nothing has one."""
    wrong = []
    for name, (kind, values) in table.columns.items():
        ids = bits.get(f"ids of {name}")
        if ids is None or kind.reader not in ("id", "truth") or "hashed_ids" in kind.entry:
            continue
        pairs = {
            (None if value is None else repr(_plain(value)), int(code)) for value, code in zip(values, ids, strict=True)
        }
        codes = {code for _, code in pairs}
        if len(ids) != len(values):
            wrong.append(f"{len(ids)} rows for {len(values)}")
            break
        if len({value for value, _ in pairs}) != len(pairs) or len(codes) != len(pairs):
            wrong.append(f"{name} is not told apart")
        if any((value is None) != (code == 0) for value, code in pairs):
            wrong.append(f"missing values of {name}")
    return wrong


def _plain(value: Any) -> Any:
    """Return a value in Python's own canonical form."""
    if isinstance(value, str | bool | dt.date):
        return value
    return int(value) if value == int(value) else value


LOST = ("rounded", "make it 'kind: time'")  # what is said of columns that a form has changed


PARTS = ("give parts of one type", "write all of them alike")  # of parts with times, or lists, and others with texts
ALIKE = ("no training row has a label", "every label in the training rows", "the split leaves no")  # small tables


def refusal(table: Table, forms: Sequence[Chosen], message: str) -> Outcome:
    """Judge a refusal: it must name a column, and the contract must allow it."""
    named = [name for name in table.columns if f"'{name}'" in message]
    if not named:
        return Outcome("different", f"refused without the name of a column: {message}")
    lost = any(form.loses(name) for form in forms for name in named)
    if lost and any(words in message for words in LOST):
        return Outcome("refused", message)
    return Outcome("different", f"refused without need: {message}")


def told(table: Table, forms: Sequence[Chosen], outcome: Outcome) -> str:
    """Tell of a difference what is needed to see it again."""
    lines = [
        f"{outcome.kind}: {outcome.what}",
        f"forms: {' / '.join(form.form for form in forms)}; marks: {table.marks}",
    ]
    for name, (_, values) in table.columns.items():
        types = " / ".join(form.types[name] for form in forms)
        lines.append(f"  {name!r}: {table.kinds.get(name)}, {types}: {list(dict.fromkeys(map(plain, values)))[:8]}")
    if found := re.search(r"row (\d+)", outcome.what):
        row = int(found[1])
        for name in table.columns:
            cells = [form.columns[name][row] for form in forms if row < len(form.columns[name])]
            lines.append(f"  row {row} of {name!r}: {' / '.join(repr(cell) for cell in cells)}")
    return "\n".join([*lines, f"  {table.schema}"])


def round_trip(seed: int, folder: Path, kinds: Sequence[str] = (), forms: Sequence[str] = ()) -> tuple[Outcome, str]:
    """Draw a table and two forms, and compare them; without names, all are drawn."""
    rng = Random(seed)
    kinds = kinds or rng.sample(list(KINDS), rng.randint(1, 4))
    table = make_table(rng, kinds)
    chosen: list[Chosen] = []
    while len(chosen) < 2:
        form = forms[len(chosen)] if forms else rng.choice(list(FORMS))
        found = choose(rng, table, form)
        if found is not None:
            chosen.append(found)
        elif forms:
            return Outcome("not held"), ""
    outcome = compare(table, chosen[0], chosen[1], folder, seed)
    if outcome.kind != "different":
        return outcome, ""
    return outcome, told(*smallest(table, chosen, outcome, lambda *found: compare(*found, folder, seed)))


def smallest(
    table: Table, forms: Sequence[Chosen], outcome: Outcome, again: Callable[..., Outcome]
) -> tuple[Table, Sequence[Chosen], Outcome]:
    """Leave out one column after another, as long as there is a difference."""
    for name in list(table.columns):
        if name in ("y", "item"):
            continue
        fewer, chosen = table.without(name), [form.without(name) for form in forms]
        found = again(fewer, *chosen)
        if found.kind == "different":
            table, forms, outcome = fewer, chosen, found
    return table, forms, outcome


def parted(seed: int, folder: Path, kinds: Sequence[str] = ()) -> tuple[Outcome, str]:
    """Draw a table, cut it into parts of several forms, and compare what is read and prepared with the whole table."""
    rng = Random(seed)
    table = make_table(rng, kinds or rng.sample(list(KINDS), rng.randint(1, 4)), 40)
    edges = sorted({0, 40, *(rng.randrange(8, 36) for _ in range(rng.randint(1, 3)))})
    texts = rng.random() < 0.7
    files = [name for name, form in FORMS.items() if form.ending and (texts or "csv" not in name)]
    chosen: list[Chosen] = []
    parts = folder / "parts"
    shutil.rmtree(folder, ignore_errors=True)
    parts.mkdir(parents=True)
    for place, (start, stop) in enumerate(pairwise(edges)):
        found = None
        while found is None:
            found = choose(rng, table, rng.choice(files), slice(start, stop), texts=texts)
        found.source(parts, seed + place, table.marks, f"part{place}")
        chosen.append(found)
    whole = None
    while whole is None:
        whole = choose(rng, table, "pandas frame of objects")
    outcome = _compare_parts(table, chosen, whole, folder, rng)
    return outcome, told(table, [whole, *chosen], outcome) if outcome.kind == "different" else ""


def _compare_parts(table: Table, chosen: Sequence[Chosen], whole: Chosen, folder: Path, rng: Random) -> Outcome:
    settings, given = Settings(encoder=SETTINGS), whole.source(folder, 0, table.marks)
    try:
        schema = Schema.from_dict(table.schema)
        with quietly():
            tables = [read_table(given), read_table(folder / "parts")]
            prepared = prepare_table(
                str(folder / "parts"), out=folder / "out", schema=schema, settings=settings,
                chunk_rows=rng.choice([1, 3, 7, 1000]),
            )  # fmt: skip
            found = [_split_and_encoded(one, prepared.schema, settings) for one in tables]
            ready = {}
            for part in ("train", "valid", "test"):
                bits = encoded(prepared.rows(part), prepared.encoder)
                ready |= {f"{name} ({part})": values for name, values in bits.items()}
            found.append(ready)
    except AutomtlError as error:
        if any(words in str(error) for words in ALIKE + PARTS):
            return Outcome("refused", str(error))
        return refusal(table, (whole, *chosen), str(error))
    except Exception as error:
        return Outcome("different", traceback(error))
    wrong = [f"{name} of the parts" for name in differences(found[0], found[1])]
    wrong += [f"{name} prepared" for name in differences(found[1], found[2])]
    return Outcome("different", ", ".join(wrong)) if wrong else Outcome("equal")


def _split_and_encoded(table: pl.DataFrame, schema: Schema, settings: Settings) -> Bits:
    source, found = TableSource(split_table(table, schema, settings.split, 0), schema, 0), dict[str, Any]()
    with data_loader(settings.data_loader) as loader:
        encoder, train, valid = source.encode(settings.encoder, loader)
        test = source.test(encoder, loader, train)
    for part, batch in (("train", train), ("valid", valid), ("test", test)):
        found |= {f"{name} ({part})": values for name, values in encoded(batch, encoder).items()}
    return found
