"""AliExpress search logs of one country (Li et al., CIKM 2020), in the publisher's form and a public one-file form.

The publisher's files have no header and no column names. We call column i (counted from 1) of the item file `item_i`,
of the user file `user_i`.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe, columns
from automtl.tables.catalog.parts import categorical, numeric, splits
from automtl.tables.schema import Field, FieldKind, Schema, Task

ITEM_CATEGORICAL = {19, 34, 35, 36, 40, 41, 42}
USER_CATEGORICAL = {2, 3, 4, 5, 6, 7, 8, 32, 33}
LABEL = 49  # column of the item file: 0 none, 1 click, 2 purchase
USER_COLUMNS = 33
PUBLISHED = "published"
VARIANTS = {
    "default": "click is 1 for clicked and for purchased rows",
    PUBLISHED: "click is 1 for clicked rows that were not purchased, as in the published recipe",
}
TASKS = (Task("click"), Task("conversion"))


def _fields(prefix: str, last: int, codes: set[int]) -> tuple[Field, ...]:
    """Make inputs of columns 2 to `last` of a publisher's file."""
    kinds = {place: FieldKind.CATEGORICAL if place in codes else FieldKind.NUMERIC for place in range(2, last + 1)}
    return tuple(Field(f"{prefix}_{place}", kind) for place, kind in kinds.items())


ITEM_FIELDS, USER_FIELDS = _fields("item", LABEL - 1, ITEM_CATEGORICAL), _fields("user", USER_COLUMNS, USER_CATEGORICAL)


def _columns(fields: tuple[Field, ...]) -> tuple[Column, ...]:
    types = {FieldKind.CATEGORICAL: pl.String, FieldKind.NUMERIC: pl.Float32}
    return tuple(Column(field.name, types[field.kind], required=False) for field in fields)


SEARCH = Column("search_id", pl.String)
ITEM_COLUMNS = (SEARCH, *_columns(ITEM_FIELDS), Column("label", values=(0, 1, 2)))


def _build(country: str, files: Files, variant: str) -> Recipe:
    parts = {}
    for part in ("train", "test"):
        users, items = files[f"{country}_user_{part}.csv"], files[f"{country}_item_{part}.csv"]
        parts[part] = items.join(users, on="search_id", how="inner", maintain_order="left")
    click = pl.col("label") == 1 if variant == PUBLISHED else pl.col("label") >= 1
    fields = ITEM_FIELDS + USER_FIELDS
    names = [field.name for field in fields]
    labels = {"click": click.cast(pl.Int8), "conversion": (pl.col("label") == 2).cast(pl.Int8)}
    rows = splits(parts).select("search_id", *names, "split", **labels)
    return rows, Schema(fields, TASKS, group="search_id", split="split")


CODES = tuple(f"categorical_{place}" for place in range(1, 17))
NUMBERS = tuple(f"numerical_{place}" for place in range(1, 64))
ONE_FILE_COLUMNS = (
    Column("search_id"), *columns(" ".join(CODES)), *columns(" ".join(NUMBERS), pl.Float32),
    Column("click", pl.Int8, values=(0, 1)), Column("conversion", pl.Int8, values=(0, 1)),
)  # fmt: skip
ONE_FILE = tuple(RawFile(f"{part}.csv", ONE_FILE_COLUMNS, header=True) for part in ("train", "test"))


def _build_one_file(files: Files, variant: str) -> Recipe:
    """Build from the one-file form, whose click is 1 for purchased rows, too; 'published' makes it 0 there."""
    rows = splits({part: files[f"{part}.csv"] for part in ("train", "test")})
    if variant == PUBLISHED:
        rows = rows.with_columns(click=pl.col("click") * (1 - pl.col("conversion")))
    return rows, Schema(categorical(*CODES) + numeric(*NUMBERS), TASKS, group="search_id", split="split")


def _dataset(country: str, name: str, rows: int) -> Dataset:
    files = [
        RawFile(f"{country}_{what}_{part}.csv", kept)
        for part in ("train", "test")
        for what, kept in (("user", (SEARCH, *_columns(USER_FIELDS))), ("item", ITEM_COLUMNS))
    ]
    return Dataset(
        f"AliExpress, {name}",
        "Alibaba publishes it at tianchi.aliyun.com/dataset/74690 as "
        f"aliexpress_{country.upper()}_datasets.zip (account needed).",
        "for research, by the terms of Tianchi; not to be redistributed",
        "Items of a search joined with its user and query on the search id; 16 categorical and 63 numeric inputs; "
        "labels: click (see the variants), conversion; the given test rows, and 20 % of the training rows for "
        "validation (drawn by fit).",
        (Form(tuple(files), partial(_build, country)), Form(ONE_FILE, _build_one_file)),
        {variant: {"rows": rows} for variant in VARIANTS},
        variants=VARIANTS,
    )


NETHERLANDS = _dataset("nl", "Netherlands", 17_717_195)
SPAIN = _dataset("es", "Spain", 31_669_427)
FRANCE = _dataset("fr", "France", 27_035_601)
UNITED_STATES = _dataset("us", "United States", 27_392_613)
