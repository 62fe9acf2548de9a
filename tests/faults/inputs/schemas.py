"""Random schema files, read as `--schema` reads them, and used on a table."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from automtl.experiment.check import check_table
from automtl.experiment.source import check_schema
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.columns import ColumnRoles, resolve_schema
from automtl.tables.schema import Schema
from automtl.tables.synthetic import synthetic_log
from tests.faults.inputs.bent import BOMB, as_json, as_yaml, bend, bend_text, write_bent

SHARE = 0.06  # of schemas that are accepted, which are used on a table

LOG = synthetic_log(60, users=6, items=5, seed=0).with_columns(
    tags=pl.Series(["a|b", "b", "", "c|a|d"] * 15),
    items=pl.Series(["1 2 3", "4", None] * 20),
    price=pl.Series(["1.000,5", "7", "2,25"] * 20),
    seconds=pl.int_range(60) * 86_400 + 1_700_000_000,
    day=pl.Series(["2024-01-01", "2024-02-29"] * 30),
    part=pl.Series(["train", "train", "val", "test"] * 15),
    weight=pl.Series([1.0, 0.5, 2.0] * 20),
    dwell=pl.Series([0.5, 12.0, 300.0, 1e6] * 15),
)
FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "tags", "kind": "multi", "delimiter": "|", "max_values": 3, "pooling": "max", "text": ["strip", "lower"]},
    {"name": "items", "kind": "sequence", "target": "item_id", "delimiter": " ", "pooling": "attention"},
    {"name": "price", "kind": "numeric", "form": "log", "decimal": ",", "thousands": "."},
    {"name": "seconds", "kind": "time", "unit": "s", "zone": "Asia/Shanghai", "parts": ["hour", "age"]},
    {"name": "day", "kind": "time", "format": "%Y-%m-%d", "parts": ["weekday"]},
    {"name": "user × item", "kind": "cross", "of": ["user_id", "item_id"], "max_ids": 9, "hashed_ids": 5},
    {"name": "item_id", "kind": "categorical", "min_count": 2, "optional": True, "max_ids": 3, "hashed_ids": 4},
    {"name": "user_id", "kind": "categorical"},
)
ROLES: dict[str, Any] = {
    "weight": "weight", "group": "user_id", "time": "seconds", "split": "part", "target_encoding": [["user_id"],
    ["item_id"]],
    "funnel": ["click", "buy"], "negative_share": 0.5, "outcomes": ["dwell"], "rates": [["item_id"]],
}  # fmt: skip
HISTORIES: tuple[Any, ...] = (
    True, False, "frozen", None,
    {"keys": ["user_id", ["user_id", "item_id"]], "label_delay": {"click": "1h", "*": 0}, "half_lives": ["1h", "7d"]},
    {"label_delay": "1h", "last": 2, "session": "30m", "frozen": True, "max_keys": 100, "unit": "s"},
    {"sequence": {"key": "user_id", "fields": ["item_id"], "length": 5}, "last": 0},
)  # fmt: skip
TASKS: tuple[dict[str, Any], ...] = (
    {"name": "click", "weight": 2.0, "positive_weight": 3.0, "negative_share": 0.5, "metrics": ["auc", "log-loss"]},
    {"name": "buy", "condition": "click = 1"},
    {"name": "like"},
    {"name": "cart", "condition": "`price` >= 7"},
)  # fmt: skip


def try_schema(rng: Random, folder: Path) -> None:
    """Read a schema file; what is accepted is read back from its own text, and a share of it is used on a table."""
    path = folder / "schema.yaml"
    values = bend(rng, drawn(rng))
    text = as_json(values) if rng.random() < 0.7 else as_yaml(values)  # JSON is YAML
    if rng.random() < 0.01:
        text = f"{BOMB}{text}"
    write_bent(rng, path, bend_text(rng, text) if rng.random() < 0.3 else text)
    schema = Schema.read(path)
    assert Schema.from_dict(schema.to_dict()) == schema, "another one is read back"
    if rng.random() < SHARE:
        (folder / "again.yaml").write_text(schema.text(), encoding="utf-8", errors="surrogatepass")
        assert Schema.read(folder / "again.yaml") == schema, "another one is read back from its text"
        use(schema)


def use(schema: Schema) -> None:
    """Check a table with a schema, and encode it."""
    check_table(LOG, schema=schema)
    found = resolve_schema(LOG, (), ColumnRoles(), schema)
    check_schema(LOG, found)
    encoder, batch = Encoder.fit(LOG, found, EncoderSettings(), 0)
    assert len(batch) == LOG.height and len(encoder.encode(LOG.head(3))) == 3


def drawn(rng: Random) -> dict[str, Any]:
    """Draw a schema, most are right."""
    fields = [dict(one) for one in FIELDS if rng.random() < 0.5] + [dict(one) for one in FIELDS[-2:]]
    values: dict[str, Any] = {"fields": list({one["name"]: one for one in fields}.values())}
    values["tasks"] = [dict(one) for one in rng.sample(TASKS, rng.randint(1, 3))]
    names = [one["name"] for one in values["tasks"]]
    values |= {
        name: value
        for name, value in ROLES.items()
        if rng.random() < 0.12 and (name != "funnel" or {"click", "buy"} <= set(names))
    }
    if rng.random() < 0.4:
        values |= {"history": rng.choice(HISTORIES), "time": "seconds"}
    return values
