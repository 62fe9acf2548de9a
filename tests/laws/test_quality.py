"""What every check of the data must obey; a new check needs a line in FLAWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from automtl.tables.infer import infer_schema
from automtl.tables.quality import CHECKS, Finding, check_quality
from automtl.tables.split import Split

ROWS = {"train": 3000, "valid": 1000, "test": 1000}
Change = Callable[[pl.DataFrame, str], pl.DataFrame]


def honest(part: str) -> pl.DataFrame:
    """Columns that tell something about the labels, none of which tells all."""
    rng, rows = np.random.default_rng(list(ROWS).index(part)), ROWS[part]
    user, item, price = rng.integers(0, 150, rows), rng.integers(0, 80, rows), rng.normal(size=rows)
    rate = 1 / (1 + np.exp(-(np.sin(user * 7.0) + np.cos(item * 3.0) + price)))
    click = rng.random(rows) < rate
    buy = click & (rng.random(rows) < 0.3)
    columns = {"user": user, "item": item, "price": price, "hour": rng.integers(0, 24, rows)}
    return pl.DataFrame({**columns, "click": click.astype(np.int8), "buy": buy.astype(np.int8)})


def findings(change: Change = lambda table, part: table) -> tuple[Finding, ...]:
    parts = {part: change(honest(part), part) for part in ROWS}
    return check_quality(Split(**parts), infer_schema(parts["train"].clear().vstack(parts["train"]), ["click", "buy"]))


def _rate(table: pl.DataFrame, part: str) -> pl.DataFrame:
    return table.with_columns(click=pl.lit(1, pl.Int8)) if part == "test" else table


FLAWS: dict[str, tuple[str, Change]] = {
    "leakage": ("told", lambda t, _: t.with_columns(told=pl.when(pl.col("click") == 1).then(7.5).otherwise(-2.25))),
    "outcome": ("paid", lambda t, _: t.with_columns(paid=pl.col("buy") * 9.5 * (pl.col("user") < 40))),
    "label rate": ("click", _rate),
    "id as label": ("click", lambda t, _: t.with_columns(click=pl.int_range(pl.len()) * 7)),
    "duplicates": ("user, item, price ...", lambda t, _: pl.concat([t, t.head(200)])),
    "constant": ("price", lambda t, part: t.with_columns(price=pl.lit(1.0)) if part == "train" else t),
    "missing": ("price", lambda t, _: t.with_columns(price=pl.when(pl.col("user") < 30).then("price"))),
    "unread": ("span", lambda t, _: t.with_columns(span=pl.duration(hours="hour"))),
    "mixed": ("size", lambda t, _: t.with_columns(size=pl.when(pl.col("user") == 7).then(pl.lit("big"))
                                                  .otherwise(pl.col("price").cast(pl.String)))),
    "seen once": ("row", lambda t, part: t.with_columns(row=pl.int_range(pl.len()).cast(pl.String) + part)),
    "leading zeros": ("shop", lambda t, _: t.with_columns(shop="0" + pl.col("user").cast(pl.String))),
    "one value": ("version", lambda t, _: t.with_columns(
        version=pl.Series(["1.1", "1.10", "beta"]).gather(t["user"] % 3))),
    "nearly alike": ("town", lambda t, _: t.with_columns(town=pl.when(pl.col("user") > 70).then(pl.lit("Ulm"))
                                                         .otherwise(pl.lit("ulm ")))),
    "missing marks": ("land", lambda t, _: t.with_columns(
        land=pl.Series(["DE", "FR", "NA", "US", "ZA", "IT"]).gather(t["user"] % 6))),
    "rounded": ("hash", lambda t, _: t.with_columns(hash=(2**53 + pl.col("user") * 2).cast(pl.Float64))),
    "zone": ("at", lambda t, _: t.with_columns(at=pl.datetime(2024, 1, 1 + pl.col("hour"), pl.col("hour")))),
    "time range": ("at", lambda t, _: t.with_columns(at=pl.date(pl.when(pl.col("user") > 9).then(2024).otherwise(1),
                                                                1, 1 + pl.col("hour")))),
    "no time or group": ("user", lambda t, _: t.with_columns(user=pl.when(pl.col("user") > 9).then("user"))),
    "equal times": ("timestamp", lambda t, _: t.with_columns(
        timestamp=1_650_000_000 + pl.int_range(pl.len()) % 6 * 3600)),
    "drift": ("price", lambda t, part: t.with_columns(price=pl.col("price") + 2 * (part == "test"))),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_names_the_column_that_was_spoiled(name: str) -> None:
    column, change = FLAWS[name]
    split = Split(**{part: change(honest(part), part) for part in ROWS})
    schema = infer_schema(pl.concat([split.train, split.valid, split.test]), ["click", "buy"], group="user")
    found = [finding for finding in check_quality(split, schema) if finding.column == column]
    assert found, name
    for finding in found:
        assert any(character.isdigit() for character in finding.evidence)
        assert finding.remedy
    assert json.loads(json.dumps([finding.to_dict() for finding in found]))


def test_an_honest_table_has_no_findings() -> None:
    assert findings() == ()


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_fails_on_odd_columns(name: str) -> None:
    def odd(table: pl.DataFrame, part: str) -> pl.DataFrame:
        return table.with_columns(
            nothing=pl.lit(None, pl.Float64), text=pl.lit("x") + pl.col("user").cast(pl.String),
            flag=pl.col("hour") > 5, several=pl.concat_list("user", "item"), infinite=pl.lit(np.inf),
            price=pl.col("price").cast(pl.Decimal(10, 2)),
            click=pl.when(pl.col("hour") > 3).then("click"), day=pl.date(2024, 1, 1),
        )  # fmt: skip

    split = Split(**{part: odd(honest(part), part) for part in ROWS})
    schema = infer_schema(pl.concat([split.train, split.valid, split.test]), ["click", "buy"])
    found = check_quality(split, schema)
    assert not [finding for finding in found if finding.level == "warning"]
    assert all(finding.check for finding in found)


def test_the_same_seed_gives_the_same_findings() -> None:
    change = FLAWS["drift"][1]
    assert findings(change) == findings(change)


def test_few_rows_of_one_population_do_not_drift_and_tell_no_answer() -> None:
    for rows in (20, 60, 200, 600):
        table = honest("train").head(rows)
        edges = (0, int(rows * 0.7), int(rows * 0.8), rows)
        parts = [table[low:high] for low, high in pairwise(edges)]
        found = check_quality(Split(*parts), infer_schema(table, ["click", "buy"]))
        assert not {finding.check for finding in found} & {"drift", "leakage"}, rows


def test_the_value_of_a_constant_list_is_told_on_one_line() -> None:
    found = findings(lambda table, part: table.with_columns(same=pl.lit([1.5] * 40)))
    (line,) = (finding.evidence for finding in found if finding.check == "constant")
    assert line.startswith("holds [1.5, 1.5, ") and "\n" not in line and len(line) < 100
