"""The names of columns change nothing: neither what is learned of them nor how it is computed."""

from __future__ import annotations

import html
import math
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
import yaml

from automtl.ensemble.tree_inputs import TreeInputs
from automtl.errors import SchemaError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.derive import simple_fields
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings
from automtl.tables.table import read_table, write_table
from tests.conftest import TINY
from tests.dataset.builder.tables import in_memory, make_schema, make_table, streamed, write_parts
from tests.dataset.builder.test_pipeline import same_rows
from tests.test_cli import call

SETTINGS = EncoderSettings(min_count=1, bins=4, joint_numeric_above=1)
NAMES: dict[str, dict[str, str]] = {
    "parts of a time": {"user": "at:hour", "item": "at:weekday", "price": "at:age", "pair": "at:day"},
    "bins and gaps of a number": {"wide": "price:bin", "size": "price:missing", "share": "size:piece 0"},
    "inputs of target encodings": {
        "flag": "user+flag", "wide": "target encoding of user", "size": "user:rows", "pair": "user+item",
        "click": "rows", "price": "numeric", "item": "target encoding",
    },
    "signs": {
        "user": "^gspc$", "item": "*", "wide": "^.*$", "share": "a.b", "flag": " ", "tags": "it's {\"x\"}",
        "seen": "[0]", "price": "n" * 300, "size": "größe \N{SNOWMAN} 値", "pair": "^pair", "at": "$at^",
        "when": "^when$", "w": "^w.*$", "part": "%s", "click": "a >= `b` ", "buy": "<b>&amp;",
        "amount": "^(amount|buy)$",
    },
    "patterns": {name: f"^{name}$" for name in make_table(0, 8).columns},
    "broken patterns": {name: f"^({name}$" for name in make_table(0, 8).columns},
}  # fmt: skip


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Put names in the place of others, wherever plain values of a schema hold one."""
    if isinstance(value, dict):
        return {key: renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    if value == "click = 1":
        return f"`{names.get('click', 'click')}` = 1"
    return names.get(value, value) if isinstance(value, str) else value


def as_texts(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.all().cast(pl.String))


def as_other_types(table: pl.DataFrame) -> pl.DataFrame:
    lists = (pl.col(name).str.split(sign) for name, sign in (("tags", "|"), ("seen", " ")))
    floats = pl.col("user", "share", "price", "click", "buy", "w").cast(pl.Float32).fill_null(math.nan)
    return table.with_columns(
        *lists, floats, pl.col("item", "part").cast(pl.Categorical), pl.col("size").cast(pl.UInt64)
    )


FORMS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "as it is": lambda table: table, "texts": as_texts, "other types": as_other_types,
}  # fmt: skip


def with_names(names: dict[str, str]) -> tuple[pl.DataFrame, Schema]:
    table, schema = make_table(3, 120), make_schema(time=True, weight=True, split=True)
    values = schema.to_dict()
    for field in values["fields"]:
        field["kind"] = f"kind {field['kind']}"  # which may be the name of a column
    changed = renamed(values, names)
    for field in changed["fields"]:
        field["kind"] = field["kind"].removeprefix("kind ")
    columns = [names.get(name, name) for name in table.columns]
    return pl.DataFrame(table.get_columns(), schema=columns), Schema.from_dict(changed)


def inputs_of(encoder: Encoder) -> list[Any]:
    """Sizes of the layout, in order."""
    layout = encoder.layout
    sizes = [(one.size, one.bins) for one in layout.categorical]
    lists = [(one.size, one.pooling, one.positions) for one in layout.multi]
    return [sizes, lists, [len(group.columns) for group in layout.numeric]]


@pytest.mark.filterwarnings("ignore:column .*most frequent have an id")
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_names_of_columns_change_nothing(names: dict[str, str], form: str, tmp_path: Path) -> None:
    split = SplitSettings()
    (plain, unchanged), (table, schema) = with_names({}), with_names(names)
    plain = FORMS[form](plain)
    table = pl.DataFrame(plain.get_columns(), schema=table.columns)
    expected, batches = in_memory(plain, unchanged, SETTINGS, split)
    write_parts(table, tmp_path / "parts", 2, ".parquet")
    encoder, own = in_memory(table, schema, SETTINGS, split)
    found, stored, report = streamed(tmp_path / "work", tmp_path / "parts", schema, SETTINGS, split)
    for one, others in ((encoder, own), (found, stored)):
        assert inputs_of(one) == inputs_of(expected)
        for rows, like in zip(others, batches, strict=True):
            same_rows(rows, like)
        matrices = (TreeInputs(e.layout).matrix(b[0].features) for e, b in ((one, others), (expected, batches)))
        assert (next(matrices) == next(matrices)).all()
    layout = encoder.layout
    for listed in (
        [one.name for one in (*layout.categorical, *layout.multi)],
        [group.name for group in layout.numeric],
        [name for group in layout.numeric for name in group.columns],
    ):
        assert len(listed) == len(set(listed))
    assert len(report["columns"]) == len(simple_fields(schema))


@pytest.mark.parametrize("role", ["field", "task", "group"])
def test_a_name_with_a_control_character_is_refused(role: str) -> None:
    values = make_schema(time=True, weight=True, split=True).to_dict()
    name = "at\x1fhour"
    change = {"field": {"fields": [{"name": name, "kind": "numeric"}]}, "task": {"tasks": [{"name": name}]}}
    with pytest.raises(SchemaError, match=r"column 'at\\x1fhour': its name holds a control character; rename it"):
        Schema.from_dict(values | {"target_encoding": []} | change.get(role, {role: name}))


OPTIONS = (
    ("task", "click"), ("task", "buy"), ("drop", "amount"), ("group", "user"), ("time", "when"), ("weight", "w"),
    ("split-column", "part"),
)  # fmt: skip
LETTERS = string.ascii_lowercase + string.digits + "-._"


@pytest.mark.filterwarnings("ignore:column .*most frequent have an id")
@pytest.mark.parametrize(
    ("scheme", "ending", "inferred"),
    [("signs", ".csv", True), ("patterns", ".csv", False), ("broken patterns", ".parquet", True)],
)
def test_every_command_takes_any_name(
    scheme: str, ending: str, inferred: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    names, (table, schema) = NAMES[scheme], with_names(NAMES[scheme])
    write_table(pl.concat([table, table.sample(fraction=1, seed=0, shuffle=True)]), Path(f"t{ending}"))
    new = [column for column in table.get_columns() if column.name != names["click"]]
    write_table(pl.DataFrame(new), Path(f"new{ending}"))
    Path("s.yaml").write_text(schema.text(), encoding="utf-8")
    Path("c.yaml").write_text(yaml.safe_dump(TINY | {"model": "mmoe", "presets": [], "ensemble": True}))
    roles = [f"--{role}={names[name]}" for role, name in OPTIONS]
    given = roles if inferred else ["--schema", "s.yaml"]
    for command in (
        ["describe", f"t{ending}", *roles, "--out", "described.yaml"],
        ["check", f"t{ending}", *given],
        ["prepare", f"t{ending}", *given, "--out", "prepared"],
        ["fit", f"t{ending}", *given, "--config", "c.yaml", "--out", "run"],
        ["fit", "prepared", "--config", "c.yaml", "--out", "again"],
        ["predict", "run", f"new{ending}", "--history", f"t{ending}", "--out", f"scores{ending}"],
        ["evaluate", "run", f"t{ending}", "--history", f"t{ending}"],
        ["importance", "run", f"t{ending}", "--repeats", "1"],
        ["inspect", "run"],
        ["report", "run", "--out", "r.html"],
        ["report", "run", "--pictures", "pictures", "--png"],
    ):
        assert call(*command) == 0, (command, capsys.readouterr().err)
    scores = read_table(f"scores{ending}")
    assert scores.height == table.height and scores.columns[0] == names["click"]
    page = Path("r.html").read_text(encoding="utf-8")
    assert all(ElementTree.parse(path) for path in Path("pictures").glob("*.svg"))
    assert "<b>&amp;" not in page and names["buy"] in html.unescape(page)
    drawn = [path.name for path in Path("pictures").iterdir()]
    assert len(drawn) > 4 and not set("".join(drawn)) - set(LETTERS)
