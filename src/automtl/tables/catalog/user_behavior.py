"""UserBehavior-2017: 100 million page views, favourites, carts and purchases of Taobao, November and December 2017."""

from __future__ import annotations

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe, columns
from automtl.tables.catalog.parts import at_least, categorical, occurred
from automtl.tables.schema import Schema, Task

BEHAVIOURS = ("pv", "buy", "cart", "fav")
KEYS = ("user_id", "item_id", "category_id")
BOUGHT = 10  # rows of a user, and of an item
FILE = RawFile(
    "UserBehavior.csv",
    (*columns(" ".join(KEYS)), Column("behaviour", pl.String, values=BEHAVIOURS), Column("timestamp")),
)


def _build(files: Files, variant: str) -> Recipe:
    events = files[FILE.name]
    bought = events.filter(pl.col("behaviour") == "buy").select(KEYS).unique().collect(engine="streaming")
    for key in ("user_id", "item_id"):  # both counted before either is dropped
        events = events.join(at_least(bought, key, BOUGHT).lazy(), on=key, how="semi")
    labels = [occurred(pl.col("behaviour") == name).alias(name) for name in BEHAVIOURS]
    rows = events.group_by(KEYS).agg(labels).sort(KEYS)
    tasks = tuple(Task(name) for name in BEHAVIOURS)
    return rows, Schema(categorical(*KEYS), tasks, group="user_id", target_encoding=tuple((key,) for key in KEYS))


USER_BEHAVIOR = Dataset(
    "UserBehavior-2017",
    "Alibaba publishes it at tianchi.aliyun.com/dataset/649 as UserBehavior.csv.zip (account needed).",
    "for research, by the terms of Tianchi; not to be redistributed",
    "One row a user, item and category; four labels: whether it was viewed (pv), bought (buy), put into the cart "
    "(cart), made a favourite (fav). Then only users and items of at least 10 bought rows, both counted before "
    "dropping.",
    (Form((FILE,), _build),),
    {"default": {"rows": 520_757}},
)
