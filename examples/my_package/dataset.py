"""A dataset: `automtl data prepare my_package.dataset:SHOP FOLDER --out shop.parquet`."""

from __future__ import annotations

import polars as pl

from automtl import Dataset, Schema, Task
from automtl.tables.catalog.base import Column, Files, Form, RawFile, Recipe, columns
from automtl.tables.schema import Field, FieldKind

EVENTS = RawFile("events.csv", (*columns("user item"), Column("event", pl.String, values=("view", "buy"))), header=True)


def _build(files: Files, variant: str) -> Recipe:
    """One row a user and item: whether the item was bought."""
    bought = (pl.col("event") == "buy").any().cast(pl.Int8).alias("bought")
    rows = files[EVENTS.name].group_by("user", "item").agg(bought).sort("user", "item")
    fields = tuple(Field(name, FieldKind.CATEGORICAL) for name in ("user", "item"))
    return rows, Schema(fields, (Task("bought"),), group="user")


SHOP = Dataset(
    title="Events of a shop",
    source="Export it from the shop's database as events.csv.",
    licence="ours",
    recipe="One row a user and item; label: whether it was bought.",
    forms=(Form((EVENTS,), _build),),
    expected={},
)
