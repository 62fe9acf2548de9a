"""IJCAI-2015: half a year of logs of Tmall before the sales of 11 November 2014 (repeat buyers' prediction)."""

from __future__ import annotations

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe, columns
from automtl.tables.catalog.parts import at_least, categorical, occurred
from automtl.tables.schema import Schema, Task

KEYS = ("user_id", "item_id", "cat_id", "seller_id", "brand_id")
PROFILE = ("age_range", "gender")
PURCHASE, FAVOURITE = 2, 3  # action types; 0 is a click, 1 the cart
PURCHASED = {"user_id": 20, "item_id": 10}  # rows
LOG = RawFile(
    "user_log_format1.csv",
    (
        *columns(" ".join(KEYS), required=False),
        Column("time_stamp", pl.String, required=False),
        Column("action_type", values=(0, 1, 2, 3)),
    ),
    header=True,
)
INFO = RawFile("user_info_format1.csv", columns("user_id age_range gender", required=False), header=True)


def _build(files: Files, variant: str) -> Recipe:
    users = files[INFO.name].drop_nulls().collect(engine="streaming")
    log = files[LOG.name].drop_nulls().join(users.select("user_id").lazy(), on="user_id", how="semi")
    purchased = log.filter(pl.col("action_type") == PURCHASE).select(KEYS).unique().collect(engine="streaming")
    for key, count in PURCHASED.items():  # both counted before either is dropped
        log = log.join(at_least(purchased, key, count).lazy(), on=key, how="semi")
    action = pl.col("action_type")
    labels = {"favorite": occurred(action == FAVOURITE), "purchase": occurred(action == PURCHASE)}
    rows = log.group_by(KEYS).agg(**labels).join(users.lazy(), on="user_id").sort(KEYS)
    fields, tasks = categorical(*KEYS, *PROFILE), tuple(Task(name) for name in labels)
    return rows.select(*KEYS, *PROFILE, *labels), Schema(
        fields, tasks, group="user_id", target_encoding=tuple((key,) for key in KEYS)
    )


IJCAI = Dataset(
    "IJCAI-2015",
    "Alibaba publishes it at tianchi.aliyun.com/dataset/42 (Repeat Buyers Prediction) in data_format1.zip (account "
    "needed).",
    "for research, by the terms of Tianchi; not to be redistributed",
    "Rows with an empty value are dropped, in both files. One row a user, item, category, seller and brand; labels: "
    "whether it was made a favourite, and purchased; age range and gender joined. Then only users of at least 20 and "
    "items of at least 10 purchased rows, both counted before dropping.",
    (Form((LOG, INFO), _build),),
    {"default": {"rows": 2_143_260}},
)
