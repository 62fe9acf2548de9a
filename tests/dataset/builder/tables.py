"""Random tables with columns of every kind, and both ways to encode them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.dataset.builder.pipeline import Preparation
from automtl.dataset.builder.workdir import Work
from automtl.dataset.store import Store
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.reading.files import TableFiles
from automtl.tables.roles import PARTS
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings, split_table
from automtl.tables.table import write_table

FIELDS: list[dict[str, Any]] = [
    {"name": "user", "kind": "categorical"},
    {"name": "item", "kind": "categorical", "text": ["strip", "lower"]},
    {"name": "wide", "kind": "categorical", "min_count": 2},
    {"name": "share", "kind": "categorical"},
    {"name": "flag", "kind": "categorical"},
    {"name": "tags", "kind": "multi", "delimiter": "|"},
    {"name": "seen", "kind": "sequence", "target": "item", "delimiter": " ", "max_values": 3},
    {"name": "price", "kind": "numeric"},
    {"name": "size", "kind": "numeric", "form": "piecewise"},
    {"name": "pair", "kind": "cross", "of": ["user", "item"], "max_ids": 6, "hashed_ids": 3},
    {"name": "at", "kind": "time"},
]
TASKS: list[dict[str, Any]] = [
    {"name": "click"},
    {"name": "buy", "condition": "click = 1"},
    {"name": "amount", "kind": "regression"},
]
KEYS = [["user"], ["item"], ["price"], ["user", "flag"]]


def make_table(seed: int, rows: int) -> pl.DataFrame:
    """Every row may lack every value; the first rows of each split have both classes and all labels."""
    rng = np.random.default_rng(seed)

    def holes(values: list[Any], share: float = 0.1) -> list[Any]:
        return [None if hole else value for hole, value in zip(rng.random(rows) < share, values, strict=True)]

    def texts(known: list[str]) -> list[str]:
        return [known[place] for place in rng.integers(0, len(known), rows)]

    start = datetime.datetime(2024, 1, 1)
    items = ["a", "B ", "b", "10", "9", "x y"]
    click = rng.integers(0, 2, rows)
    click[::4], click[1::4] = 1, 0
    return pl.DataFrame(
        {
            "user": holes(rng.integers(-3, rows // 3, rows).tolist()),
            "item": holes(texts(items)),
            "wide": holes((rng.integers(0, 5, rows) * 2**40).tolist()),
            "share": pl.Series(holes((rng.integers(0, 6, rows) / 2).tolist()), dtype=pl.Float64),
            "flag": holes((rng.random(rows) < 0.5).tolist()),
            "tags": holes(["|".join(texts(["p", "q", "r"])[: rng.integers(0, 4)]) for _ in range(rows)]),
            "seen": holes([" ".join(texts(["a", "b", "z"])[: rng.integers(0, 6)]) for _ in range(rows)]),
            "price": pl.Series(holes(np.exp(rng.normal(size=rows)).round(1).tolist()), dtype=pl.Float64),
            "size": pl.Series(holes(rng.integers(0, 9, rows).tolist()), dtype=pl.Int32),
            "at": holes([start + datetime.timedelta(hours=int(hours)) for hours in rng.integers(0, 999, rows)]),
            "when": rng.integers(0, rows // 2, rows).tolist(),
            "w": (rng.random(rows) + 0.1).tolist(),
            "part": [("train", "train", "val", "test")[place // 4 % 4] for place in range(rows)],
            "click": click.tolist(),
            "buy": pl.Series(holes(rng.integers(0, 2, rows).tolist()), dtype=pl.Int64),
            "amount": pl.Series(holes((rng.normal(size=rows) * 10).tolist()), dtype=pl.Float64),
        }
    )


def make_schema(*, time: bool, weight: bool, split: bool, group: bool = True) -> Schema:
    roles = {"time": "when" if time else None, "weight": "w" if weight else None}
    roles |= {"split": "part" if split else None, "group": "user" if group else None}
    given = {name: column for name, column in roles.items() if column is not None}
    return Schema.from_dict({"fields": FIELDS, "tasks": TASKS, "target_encoding": KEYS, **given})


def write_parts(table: pl.DataFrame, folder: Path, parts: int, ending: str) -> None:
    folder.mkdir()
    edges = np.linspace(0, table.height, parts + 1).astype(int)
    for place in range(parts):
        write_table(table.slice(edges[place], edges[place + 1] - edges[place]), folder / f"part-{place:02d}{ending}")


def streamed(
    folder: Path,
    source: Path,
    schema: Schema,
    settings: EncoderSettings,
    split: SplitSettings,
    *,
    rows: int = 7,
    memory_bytes: int = 2**30,
    readers: int = 1,
) -> tuple[Encoder, list[Batch], dict[str, Any]]:
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    job = Preparation(
        TableFiles.open(str(source)), schema, settings, split, 0, Work(folder), rows, memory_bytes,
        readers=readers, remote=True,
    )  # fmt: skip
    encoder, report = job.run()
    return encoder, [Store.open(folder / "encoded" / name).rows() for name in PARTS], report


def in_memory(
    table: pl.DataFrame, schema: Schema, settings: EncoderSettings, split: SplitSettings
) -> tuple[Encoder, list[Batch]]:
    parts = split_table(table, schema, split, 0)
    encoder, train = Encoder.fit(parts.train, schema, settings, 0)
    return encoder, [train, encoder.encode(parts.valid), encoder.encode(parts.test)]
