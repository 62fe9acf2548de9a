"""Small saved models that hold every kind of part: networks, trees of both libraries, encodings, histories, lists."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from automtl.config import make_settings
from automtl.ensemble.catboost_trees import CatBoostTrees
from automtl.ensemble.spec import ModelSpec
from automtl.experiment import ColumnRoles, fit_table
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.tables.schema import Schema
from automtl.tables.synthetic import synthetic_log

SMALL: dict[str, Any] = {
    "training": {"epochs": 1, "batch_size": 256}, "trees": {"rounds": 8},
    "network": {"embedding_size": 4, "width": 8, "towers": [8]}, "search": {"trainings": 2},
    "space": {"experts": 2, "layers": 1}, "selection": {"bags": 0, "steps": 3, "worth": 0},
    "encoder": {"prune_histories": False}, "presets": [],
}  # fmt: skip
DROPPED = ("like", "cart")
KINDS = {
    "fields": [
        {"name": "user_id", "kind": "categorical", "hashed_ids": 5},
        {"name": "item_id", "kind": "categorical"},
        {"name": "device", "kind": "categorical", "text": ["strip", "lower"]},
        {"name": "seen", "kind": "time", "parts": ["hour", "weekday", "age"]},
        {"name": "price", "kind": "numeric", "form": "piecewise"},
        {"name": "hour", "kind": "numeric"},
        {"name": "tags", "kind": "multi", "pooling": "attention"},
        {"name": "before", "kind": "sequence", "target": "item_id"},
        {"name": "both", "kind": "cross", "of": ["device", "hour"]},
    ],
    "tasks": [{"name": "click"}, {"name": "spent", "kind": "regression", "transform": "log1p", "clip": [0, 100]}],
    "target_encoding": [["user_id"], ["device", "user_id"]],
}


def table(rows: int = 1200) -> pl.DataFrame:
    """Return the rows that all of them were fitted on."""
    log = synthetic_log(rows, users=60, items=40, seed=1).with_row_index("row")
    return log.with_columns(
        seen=pl.datetime(2024, 1, 1) + pl.duration(minutes=17 * pl.col("row").cast(pl.Int64)),
        before=pl.concat_list(pl.col("item_id").shift(1, fill_value=0), pl.col("item_id").shift(2, fill_value=1)),
        spent=pl.col("price") * pl.col("buy"),
    )


def ensemble(log: pl.DataFrame, out: Path) -> None:
    """Fit a searched network and the trees of LightGBM side by side, with target encodings."""
    settings = make_settings(SMALL | {"selection": SMALL["selection"] | {"boosted_trees": "one"}})
    roles = ColumnRoles(drop=(*DROPPED, "row", "seen", "before", "spent"))
    fit_table(log, ["click", "buy"], roles=roles, settings=settings, out=out, seed=1)


def histories(log: pl.DataFrame, out: Path) -> None:
    """Fit a network whose inputs are histories, a sequence of events among them."""
    history = {"keys": ["user_id", ["user_id", "device"]], "label_delay": "3s", "last": 2, "unit": "s",
               "sequence": {"key": "user_id", "fields": ["item_id"], "length": 4}}  # fmt: skip
    names = {"user_id": "categorical", "item_id": "categorical", "device": "categorical", "price": "numeric"}
    schema = Schema.from_dict(
        {
            "fields": [{"name": name, "kind": kind} for name, kind in names.items()],
            "tasks": [{"name": "click"}, {"name": "buy"}], "time": "row", "history": history,
        }
    )  # fmt: skip
    fit_table(log, [], schema=schema, settings=make_settings(SMALL | {"model": "mmoe"}), out=out, seed=1)


def kinds(log: pl.DataFrame, out: Path) -> None:
    """Fit a network on fields of every kind, and a quantity."""
    settings = make_settings(SMALL | {"model": "cgc"})
    fit_table(log, [], schema=Schema.from_dict(KINDS), settings=settings, out=out, seed=1)


def catboost(log: pl.DataFrame, out: Path) -> None:
    """Fit the trees of CatBoost alone, with look-up tables."""
    settings = make_settings(SMALL | {"model": "catboost"})
    fit_table(log, [], schema=Schema.from_dict(KINDS), settings=settings, out=out, seed=1)


def untrained(folder: Path, rows: int = 200) -> Path:
    """Save a network that has learned nothing, on fields of every kind; it takes less time than a fit."""
    encoder, _ = Encoder.fit(table(rows), Schema.from_dict(KINDS), EncoderSettings(), seed=0)
    spec = ModelSpec.of("cgc", NetworkSettings(embedding_size=2, width=4, towers=(4,)))
    Predictor(encoder.schema, encoder, spec, spec.build(encoder, 0).eval()).save(folder)
    return folder


MODELS: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    "ensemble": ensemble, "histories": histories, "kinds": kinds, "catboost": catboost,
}  # fmt: skip


def fitted(folder: Path, names: tuple[str, ...] = tuple(MODELS)) -> list[Path]:
    """Fit those that are not in the folder yet; return the folders of all whose library is there."""
    log, found = table(), list[Path]()
    for name in names:
        if name == "catboost" and not CatBoostTrees.available():
            continue
        found.append(folder / name)
        if not (folder / name).exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                MODELS[name](log, folder / name)
    return found
