"""What columns are called changes nothing: neither what is learned of them nor how it is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from automtl.ensemble.trees import TreeInputs
from automtl.errors import SchemaError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.derive import simple_fields
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings
from tests.dataset.builder.tables import in_memory, make_schema, make_table, streamed, write_parts
from tests.dataset.builder.test_pipeline import same_rows

SETTINGS = EncoderSettings(min_count=1, bins=4, joint_numeric_above=1)
NAMES: dict[str, dict[str, str]] = {
    "parts of a time": {"user": "at:hour", "item": "at:weekday", "price": "at:age", "pair": "at:day"},
    "bins and gaps of a number": {"wide": "price:bin", "size": "price:missing", "share": "size:piece 0"},
    "inputs of target encodings": {
        "flag": "user+flag", "wide": "target encoding of user", "size": "user:rows", "pair": "user+item",
        "click": "rows", "price": "numeric", "item": "target encoding",
    },
}  # fmt: skip


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Put names in the place of others, wherever plain values of a schema hold one."""
    if isinstance(value, dict):
        return {key: renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    if value == "click = 1":
        return f"{names.get('click', 'click')} = 1"
    return names.get(value, value) if isinstance(value, str) else value


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
def test_names_of_columns_change_nothing(names: dict[str, str], tmp_path: Path) -> None:
    split = SplitSettings()
    expected, batches = in_memory(*with_names({}), SETTINGS, split)
    table, schema = with_names(names)
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
