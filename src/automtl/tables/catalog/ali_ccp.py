"""Ali-CCP: 85 million impressions of Taobao's recommender with clicks and purchases (Ma et al., SIGIR 2018, ESMM).

A feature list is `field \\x02 feature \\x03 value`, several of them joined by \\x01. Columns keep the publisher's field
names.
"""

from __future__ import annotations

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe, columns
from automtl.tables.catalog.parts import categorical, numeric, splits
from automtl.tables.schema import Field, FieldKind, Schema, Task

USER = ("101", "121", "122", "124", "125", "126", "127", "128", "129")
HISTORY = ("109_14", "110_14", "127_14", "150_14")  # categories, shops, brands and intentions of what a user did
ITEM = ("205", "206", "207", "216")
CONTEXT = ("301", "508", "509", "702")
SEVERAL = ("210", "853")  # intentions of an item, and their cross with the history
LONGEST = 50  # values of a multi-valued column that are kept
PARTS = ("train", "test")
TASKS = (Task("click"), Task("purchase"))
KEYS = (("101",), ("205",), ("206",), ("207",), ("216",))
LABEL = (0, 1)
FEATURES = Column("feature_list", pl.String, pattern="\x02.*\x03")
SAMPLES = (
    Column("sample_id", pl.String), Column("click", values=LABEL), Column("purchase", values=LABEL),
    Column("common", pl.String), Column("feature_num"), FEATURES,
)  # fmt: skip
COMMON = (Column("common", pl.String), Column("feature_num"), FEATURES)
FILES = tuple(
    RawFile(name.format(part), kept)
    for part in PARTS
    for name, kept in (("sample_skeleton_{}.csv", SAMPLES), ("common_features_{}.csv", COMMON))
)


def _single(field: str) -> pl.Expr:
    pattern = f"(?:^|\x01){field}\x02(\\d+)\x03"
    return pl.col("feature_list").str.extract(pattern).cast(pl.Int64).alias(field)


def _several(field: str) -> pl.Expr:
    """Extract a list of at most LONGEST ids. A feature ends in \\x03, so that neighbours share no character."""
    found = pl.col("feature_list").str.extract_all(f"(?:^|\x01){field}\x02\\d+\x03").list.head(LONGEST)
    ids = found.list.eval(pl.element().str.extract("\x02(\\d+)\x03").cast(pl.Int32))
    return ids.alias(field)


def _build(files: Files, variant: str) -> Recipe:
    parts = {}
    for part in PARTS:
        common = files[f"common_features_{part}.csv"].select("common", *map(_single, USER), *map(_several, HISTORY))
        samples = files[f"sample_skeleton_{part}.csv"].select(
            "common", "click", "purchase", *map(_single, ITEM + CONTEXT), *map(_several, SEVERAL)
        )
        parts[part] = samples.join(common, on="common", how="left", maintain_order="left").drop("common")
    fields = categorical(*USER, *ITEM, *CONTEXT) + tuple(Field(name, FieldKind.MULTI) for name in HISTORY + SEVERAL)
    names = [field.name for field in fields]
    rows = splits(parts).select(*names, "split", pl.col("click", "purchase").cast(pl.Int8))
    return rows, Schema(fields, TASKS, group="101", split="split", target_encoding=KEYS)


CODES = (
    "101", "121", "122", "124", "125", "126", "127", "128", "129", "205", "206", "207", "210", "216", "508", "509",
    "702", "853", "301", "109_14", "110_14", "127_14", "150_14",
)  # fmt: skip
NUMBERS = ("D109_14", "D110_14", "D127_14", "D150_14", "D508", "D509", "D702", "D853")
ONE_FILE_COLUMNS = (
    Column("click", pl.Int8, values=LABEL), Column("purchase", pl.Int8, values=LABEL), *columns(" ".join(CODES)),
    *columns(" ".join(NUMBERS), pl.Float32),
)  # fmt: skip
ONE_FILE = {part: RawFile(f"ali_ccp_{part}.csv", ONE_FILE_COLUMNS, header=True) for part in ("train", "val", "test")}


def _build_one_file(files: Files, variant: str) -> Recipe:
    rows = splits({part: files[file.name] for part, file in ONE_FILE.items()})
    return rows, Schema(
        categorical(*CODES) + numeric(*NUMBERS), TASKS, group="101", split="split", target_encoding=KEYS
    )


ALI_CCP = Dataset(
    "Ali-CCP",
    "Alibaba publishes it at tianchi.aliyun.com/dataset/408 as sample_train.tar.gz and sample_test.tar.gz (account "
    "needed).",
    "for research, by the terms of Tianchi; not to be redistributed",
    "Impressions joined with the features of their user; labels: click, purchase (0 where not clicked, so its "
    f"rate is over all impressions). Multi-valued fields keep their first {LONGEST} ids. The given test rows, and"
    " 20 % of the training rows for validation (drawn by fit).",
    (Form(FILES, _build), Form(tuple(ONE_FILE.values()), _build_one_file)),
    {"default": {"rows": 85_316_975}},
)
