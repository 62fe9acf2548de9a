"""Tests of each kind of misreading in public bug reports: nothing in a table is misread in silence."""

from __future__ import annotations

import csv
import datetime as dt
import warnings
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from automtl.config import Settings, make_settings
from automtl.errors import AutomtlError, EncodingError
from automtl.experiment import ColumnRoles, check_table, fit_table
from automtl.experiment.prepare import prepare_table
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.infer import infer_schema
from automtl.tables.labels import label_columns
from automtl.tables.roles import TableRoles
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.split import SplitSettings, split_rule
from automtl.tables.table import read_table
from automtl.training.metrics import evaluate
from tests.forms.law import differences, encoded

ROWS = 40
QUICK = {"model": "shared-bottom", "presets": [], "ensemble": False, "training": {"epochs": 1, "batch_size": 128}}
ID, NUMBER = FieldKind.CATEGORICAL, FieldKind.NUMERIC
CLICKS = [row % 2 for row in range(ROWS)]
SHANGHAI = "Asia/Shanghai"


def table(name: str, values: Sequence[Any], dtype: Any = None) -> pl.DataFrame:
    """A table of one column, repeated to all rows, an item and clicks."""
    cells = [values[row % len(values)] for row in range(ROWS)]
    return pl.DataFrame(
        {name: pl.Series(cells, dtype=dtype), "item": [row % 7 for row in range(ROWS)], "click": CLICKS}
    )


def schema(*fields: Field, tasks: Sequence[Task] = (Task("click"),), **roles: Any) -> Schema:
    return Schema((Field("item", ID), *fields), tuple(tasks), **roles)


def fitted(source: Any, of: Schema) -> tuple[Encoder, Batch]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Encoder.fit(read_table(source), of, EncoderSettings(min_count=1), 0)


def different(first: Any, second: Any, of: Schema) -> list[str]:
    """Compare two sources, each encoded by its own encoder and by that of the first one, and list the differences."""
    (one, own), (other, others) = fitted(first, of), fitted(second, of)
    found = differences(encoded(own, one), encoded(others, other))
    tables = (encoded(one.encode(read_table(source)), one) for source in (first, second))
    return found + differences(*tables)


def kind_of(source: Any, name: str) -> FieldKind:
    return next(one.kind for one in infer_schema(read_table(source), ["click"]).fields if one.name == name)


def inferred(source: Any, name: str) -> Field:
    return next(one for one in infer_schema(read_table(source), ["click"]).fields if one.name == name)


def log(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """A log for models that are fitted in a second."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 20, rows), rng.integers(0, 15, rows)
    return pl.DataFrame(
        {"user_id": user, "item_id": item, "click": (rng.random(rows) < 0.2 + 0.6 * (user % 2)).astype(int)}
    )


def fit(source: Any, of: Schema | None = None, tasks: Sequence[str] = ("click",), **given: Any) -> Any:
    settings = given.pop("settings", make_settings(QUICK))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit_table(source, () if of else tasks, schema=of, settings=settings, **given)


# Ids


ZEROS = ["00012", "12", "0012", "07", "7", "0"]


@pytest.mark.parametrize("quotes", ["necessary", "always"])
def test_leading_zeros_are_kept_in_every_file(quotes: Any, tmp_path: Path) -> None:
    rows, of = table("shop", ZEROS), schema(Field("shop", ID))
    rows.write_parquet(tmp_path / "a.parquet")
    rows.write_csv(tmp_path / "a.csv", quote_style=quotes)
    assert different(tmp_path / "a.parquet", tmp_path / "a.csv", of) == []
    assert len(fitted(tmp_path / "a.csv", of)[0].vocabularies["shop"]) == 2 + len(ZEROS)
    assert inferred(tmp_path / "a.csv", "shop").kind is ID


TRUTHS = {
    "text of Python": pl.Series(["True", "False", "True"]),
    "text of polars": pl.Series(["true", "false", "true"]),
    "text of Excel": pl.Series(["TRUE", "FALSE", "TRUE"]),
    "numbers": pl.Series([1, 0, 1]),
    "floats": pl.Series([1.0, 0.0, 1.0]),
    "texts of floats": pl.Series(["1.0", "0.0", "1.0"]),
    "categories": pl.Series(["True", "False", "True"], dtype=pl.Categorical),
}


@pytest.mark.parametrize("form", TRUTHS)
def test_truths_are_one_value_in_every_form(form: str, tmp_path: Path) -> None:
    of = schema(Field("vip", ID))
    truth, other = table("vip", [True, False, True]), table("vip", TRUTHS[form].to_list(), TRUTHS[form].dtype)
    assert different(truth, other, of) == []
    other.write_csv(tmp_path / "a.csv")
    assert different(truth, tmp_path / "a.csv", of) == different(tmp_path / "a.csv", other, of) == []


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([Decimal("2.00"), Decimal("5.00"), Decimal("10.00")], dtype=pl.Decimal(10, 2)),
        pl.Series([2.0, 5.0, 10.0]), pl.Series(["2.0", "5.0", "10.0"]), pl.Series(["2", "5.00", "10.0"]),
    ],
)  # fmt: skip
def test_whole_numbers_are_one_value_in_every_form(column: pl.Series, tmp_path: Path) -> None:
    of, whole, other = (
        schema(Field("level", ID)),
        table("level", [2, 5, 10]),
        table("level", column.to_list(), column.dtype),
    )
    other.write_csv(tmp_path / "a.csv")
    assert (
        different(whole, other, of)
        == different(other, tmp_path / "a.csv", of)
        == different(tmp_path / "a.csv", whole, of)
        == []
    )


BIG = [2**60 + 1, 2**60 + 2, 2**60 + 3, -(2**62) - 1]


def test_large_ids_are_one_value_in_every_form_and_of_one_kind(tmp_path: Path) -> None:
    forms = {
        "whole": table("device", BIG),
        "text": table("device", [str(one) for one in BIG]),
        "decimal": table("device", [Decimal(one) for one in BIG], pl.Decimal(38, 0)),
    }
    for name, rows in forms.items():
        rows.write_csv(tmp_path / f"{name}.csv")
        for source in (rows, tmp_path / f"{name}.csv"):
            assert different(forms["whole"], source, schema(Field("device", ID))) == []
            assert kind_of(source, "device") is ID


def test_ids_of_41_digits_are_read_as_texts(tmp_path: Path) -> None:
    rows = table("hash", [str(10**40 + row) for row in range(9)])
    rows.write_csv(tmp_path / "a.csv")
    assert different(rows, tmp_path / "a.csv", schema(Field("hash", ID))) == []
    assert kind_of(tmp_path / "a.csv", "hash") is ID
    assert len(fitted(tmp_path / "a.csv", schema(Field("hash", ID)))[0].vocabularies["hash"]) == 11


@pytest.mark.parametrize("dtype", [pl.Float64, pl.Float32])
def test_ids_that_floats_may_have_rounded_are_refused(dtype: Any, tmp_path: Path) -> None:
    large = 2**60 if dtype == pl.Float64 else 2**24 + 4
    rows = table("device", [float(large), float(large), None, 1.0], dtype)
    with pytest.raises(EncodingError, match=r"'device'.*rounded.*(integer|text)"):
        fitted(rows, schema(Field("device", ID)))
    encoder, _ = fitted(table("device", [1, 2, large]), schema(Field("device", ID)))
    with pytest.raises(EncodingError, match="'device'"):
        encoder.encode(rows)


def test_whole_and_float_parts_do_not_round_each_other(tmp_path: Path) -> None:
    """A part that pandas writes with a null holds floats, which cannot tell ids of 2^60 apart."""
    parts = tmp_path / "parts"
    parts.mkdir()
    of = schema(Field("device", ID))
    table("device", BIG).write_parquet(parts / "a.parquet")
    table("device", [7.0, None]).write_parquet(parts / "b.parquet")
    encoder, _ = fitted(parts, of)
    assert len(encoder.vocabularies["device"]) == 2 + len(BIG) + 1
    table("device", [float(BIG[0]), None]).write_parquet(parts / "b.parquet")
    with pytest.raises(AutomtlError, match="'device'.*rounded"):
        fitted(parts, of)


# Files


def test_a_part_with_a_text_among_its_ids_has_the_ids_of_the_others(tmp_path: Path) -> None:
    of, parts = schema(Field("user", ID)), tmp_path / "parts"
    parts.mkdir()
    ids = [f"{row:05d}" for row in range(7)]
    both = pl.concat([table("user", ids), table("user", [*ids, "guest"])])
    both[:ROWS].write_csv(parts / "a.csv")
    both[ROWS:].write_csv(parts / "b.csv")
    assert different(both, parts, of) == []
    settings = Settings(encoder=EncoderSettings(min_count=1))
    for chunk in (3, 1000):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = prepare_table(
                str(parts), out=tmp_path / f"out{chunk}", schema=of, settings=settings, chunk_rows=chunk
            )
        assert set(prepared.encoder.vocabularies["user"].values) <= {*ids, "guest"}


def test_folders_of_partitions_give_their_columns(tmp_path: Path) -> None:
    rows = pd.DataFrame({"item": [1, 2, 3, 4] * 10, "region": ["north", "south", "007", "7"] * 10, "click": CLICKS})
    rows.to_parquet(tmp_path / "log", partition_cols=["region"])
    found = read_table(tmp_path / "log")
    assert set(found.columns) == {"item", "region", "click"}
    expected = pl.from_pandas(rows).sort("item", "region")
    assert found.select(expected.columns).cast(expected.schema).sort("item", "region").equals(expected)
    assert read_table(str(tmp_path / "log" / "*" / "*.parquet")).width == 3


def test_blank_lines_are_no_rows_and_short_rows_end_in_nulls(tmp_path: Path) -> None:
    lines = ["", "user,item,note,click", *(f"{row % 5},{row % 7},n{row % 3},{row % 2}" for row in range(ROWS)), "", ""]
    lines[9:9], lines[20:20] = [""], ["", ""]
    short = [line if place % 6 else ",".join(line.split(",")[:3]) for place, line in enumerate(lines)]
    short[1] = lines[1]
    (tmp_path / "a.csv").write_text("\n".join(short))
    of = schema(Field("user", ID), Field("note", ID))
    rows = read_table(tmp_path / "a.csv")
    frame = pd.read_csv(tmp_path / "a.csv")
    assert rows.height == len(frame) == ROWS
    assert rows["click"].null_count() == int(frame["click"].isna().sum()) > 0
    settings = Settings(encoder=EncoderSettings(min_count=1))
    found = []
    for chunk in (1, 5, 1000):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = prepare_table(
                str(tmp_path / "a.csv"), out=tmp_path / str(chunk), schema=of, settings=settings, chunk_rows=chunk
            )
        assert sum(prepared.num_rows.values()) == ROWS
        found.append(encoded(prepared.rows("train"), prepared.encoder))
    assert differences(found[0], found[1]) == differences(found[0], found[2]) == []


def test_a_type_that_changes_late_is_read_as_pandas_reads_it(tmp_path: Path) -> None:
    rows = 100_010
    ids = [*map(str, range(rows - 2)), "guest", "12.5"]
    pl.DataFrame(
        {"user": ids, "item": [row % 7 for row in range(rows)], "click": [row % 2 for row in range(rows)]}
    ).write_csv(tmp_path / "a.csv")
    found = read_table(tmp_path / "a.csv")
    assert found.height == rows and found["user"].cast(pl.String).to_list()[-2:] == ["guest", "12.5"]


def test_an_inch_sign_is_a_letter(tmp_path: Path) -> None:
    titles = ['a 7" tablet', 'say "hi"', "plain", '"quoted, with 8"" inside"']
    text = "title,item,click\n" + "".join(f"{titles[row % 4]},{row % 7},{row % 2}\n" for row in range(ROWS))
    (tmp_path / "a.csv").write_text(text)
    expected = pd.read_csv(tmp_path / "a.csv")["title"].tolist()
    assert read_table(tmp_path / "a.csv")["title"].to_list() == expected


def test_no_word_of_a_library_reaches_a_user_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item,click\n1,2,0\n1,2,0,3,4\n2,3,1\n")
    with pytest.raises(AutomtlError, match=r"a\.csv'.*row 2") as found:
        read_table(tmp_path / "a.csv")
    assert "polars" not in str(found.value) and "schema" not in str(found.value)


# Numbers


@pytest.mark.parametrize(
    ("write", "kwargs"),
    [
        (lambda price: price, {"sep": ";", "decimal": ","}),
        (lambda price: f"{price * 1000:,.0f}", {}),
        (lambda price: f"{price * 1000:,.2f}".translate(str.maketrans(",.", ".,")), {"sep": ";"}),
        (lambda price: f"{price * 1000:,.2f}", {"quoting": csv.QUOTE_ALL}),
    ],
    ids=["decimal comma", "thousands", "both, German", "both, English"],
)
def test_numbers_with_separators_are_numbers(write: Any, kwargs: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    price = rng.integers(100, 990_000, 200) / 100
    rows = pd.DataFrame({"price": price, "item": rng.integers(0, 9, 200), "click": rng.integers(0, 2, 200)})
    scale = 1 if kwargs.get("decimal") else 1000
    rows.assign(price=[write(one) for one in price]).to_csv(tmp_path / "a.csv", index=False, **kwargs)
    field = inferred(tmp_path / "a.csv", "price")
    assert field.kind is NUMBER
    plain = rows.assign(price=np.round(price * scale, 2))
    assert different(tmp_path / "a.csv", plain, schema(field)) == []


def test_a_number_of_two_readings_is_refused_with_the_remedy() -> None:
    rows = table("price", ["1,234", "5,678"])
    with pytest.raises(EncodingError, match=r"'price'.*1,234.*(thousands|decimal)"):
        fitted(rows, schema(Field("price", NUMBER)))


# Lists


def test_lists_and_their_texts_are_the_same_or_refused(tmp_path: Path) -> None:
    tags = [["t1", "t2"], ["t3"], [], None, ["t2", "t1", "t3"], ["it's", "t1"]]
    rows, of = table("tags", tags), schema(Field("tags", FieldKind.MULTI))
    rows.write_parquet(tmp_path / "a.parquet")
    rows.to_pandas().to_csv(tmp_path / "numpy.csv", index=False)
    pd.DataFrame(rows.to_dict(as_series=False)).to_csv(tmp_path / "python.csv", index=False)
    for file in ("numpy.csv", "python.csv"):
        assert different(tmp_path / "a.parquet", tmp_path / file, of) == []
    piped = rows.with_columns(pl.col("tags").list.join("|"))
    encoder, _ = fitted(rows, of)
    with pytest.raises(EncodingError, match=r"'tags'.*delimiter"):
        encoder.encode(piped)
    assert different(rows, piped, schema(Field("tags", FieldKind.MULTI, delimiter="|"))) == []


# Conditions


WATCH = [50.0, 150.0, None, 250.0, 100.0, None, 7.5]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(WATCH), pl.Series([float("nan") if one is None else one for one in WATCH]),
        pl.Series([float("inf") if one is None else one for one in WATCH]),
        pl.Series(["NaN" if one is None else f"{one:g}" for one in WATCH]),
        pl.Series([None if one is None else Decimal(str(one)) for one in WATCH], dtype=pl.Decimal(10, 2)),
        pl.Series(["" if one is None else f"{one:.2f}" for one in WATCH], dtype=pl.Categorical),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("condition", "expected"), [("> 100", 2), ("<= 100", 3), ("!= 150", 4), ("= 150.0", 1), ("< 7.6", 1)]
)
def test_missing_values_satisfy_no_condition_and_texts_are_numbers(
    column: pl.Series, condition: str, expected: int
) -> None:
    rows = pl.DataFrame({"watch": column, "item": range(7), "click": [0, 1, 0, 1, 0, 1, 1]})
    of = schema(tasks=[Task("click", condition=f"watch {condition}")])
    assert label_columns(rows, of)[1].sum() == expected


@pytest.mark.parametrize(
    "clicks", [["1.0", "0.0"], ["1", "0"], [1.0, 0.0], [True, False], ["true", "False"], ["yes", "no"]]
)
@pytest.mark.parametrize("condition", ["click = 1", "click = true", "click != 0", "click > 0", "click = yes"])
def test_a_condition_reads_a_label_as_labels_are_read(clicks: list[Any], condition: str) -> None:
    cells = pl.Series("click", clicks * (ROWS // 2))
    rows = table("shop", [1]).with_columns(cells, like=pl.Series(CLICKS))
    of = schema(tasks=[Task("click"), Task("like", condition=condition)])
    assert label_columns(rows, of)[1][:, 1].tolist() == [1.0, 0.0] * (ROWS // 2)


@pytest.mark.parametrize("values", [["007", "7"], ["07", "7.0"]])
def test_a_condition_tells_ids_apart(values: list[str]) -> None:
    of = schema(Field("shop", ID), tasks=[Task("click", condition="shop = 7")])
    assert label_columns(table("shop", values), of)[1].sum() == ROWS / 2


def test_a_condition_on_ids_that_floats_may_have_rounded_is_refused() -> None:
    of = schema(tasks=[Task("click", condition=f"device = {2**60 + 1}")])
    assert label_columns(table("device", BIG), of)[1].sum() == ROWS / 4
    with pytest.raises(AutomtlError, match="'device'.*rounded"):
        label_columns(table("device", [float(one) for one in BIG]), of)


def test_a_condition_that_cannot_be_compared_is_refused() -> None:
    of = schema(Field("shop", ID), tasks=[Task("click", condition="shop > abc")])
    with pytest.raises(AutomtlError, match="'shop'"):
        label_columns(table("shop", ["a", "b"]), of)


# Times


MOMENTS = [dt.datetime(2023, 1, 30, 9) + dt.timedelta(hours=7 * row) for row in range(ROWS)]
BY_TIME = SplitSettings(method="time")


def parts(rows: pl.DataFrame, of: Schema, method: Any = "time") -> np.ndarray:
    roles = TableRoles(rows, of)
    return split_rule([roles], of, SplitSettings(method=method), 0)(roles, 0)


def timed(values: Sequence[Any]) -> pl.DataFrame:
    order = np.random.default_rng(0).permutation(ROWS)
    return table("item", [1, 2]).with_columns(pl.Series("seen_at", [values[row] for row in order], strict=False))


@pytest.mark.parametrize(
    "write",
    [
        lambda one: one.strftime("%Y-%m-%d %H:%M"), lambda one: one.isoformat(),
        lambda one: one.replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=one.hour % 12))).isoformat(),
        lambda one: one.timestamp(), lambda one: f"{one.timestamp():.1f}",
    ],
    ids=["minutes", "ISO", "offsets", "numbers", "texts of numbers"],
)  # fmt: skip
def test_a_split_by_time_orders_times(write: Any) -> None:
    expected = parts(timed(MOMENTS), schema(time="seen_at"))
    assert parts(timed([write(one) for one in MOMENTS]), schema(time="seen_at")).tolist() == expected.tolist()


def test_times_that_do_not_sort_as_text_are_refused_or_read_by_their_format() -> None:
    rows = timed([f"{one.month}/{one.day}/{one.year} {one.hour}:{one.minute:02d}" for one in MOMENTS])
    with pytest.raises(AutomtlError, match=r"'seen_at'.*format"):
        parts(rows, schema(time="seen_at"))
    field = Field("seen_at", FieldKind.TIME, format="%m/%d/%Y %H:%M")  # type: ignore[call-arg]
    expected = parts(timed(MOMENTS), schema(time="seen_at"))
    assert parts(rows, schema(field, time="seen_at")).tolist() == expected.tolist()
    assert different(timed(MOMENTS), rows, schema(field)) == []


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf"), "NaN", ""])
def test_times_that_are_missing_are_never_the_newest(missing: Any) -> None:
    stamps = [one.timestamp() for one in MOMENTS]
    rows = timed([missing, *(map(str, stamps[1:]) if isinstance(missing, str) else stamps[1:])])
    with pytest.raises(AutomtlError, match="'seen_at' has 1 "):
        parts(rows, schema(time="seen_at"))


def test_an_instant_is_the_same_in_every_zone(tmp_path: Path) -> None:
    here = table("at", MOMENTS).with_columns(pl.col("at").dt.replace_time_zone(SHANGHAI))
    utc = here.with_columns(pl.col("at").dt.convert_time_zone("UTC"))
    text = here.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%z"))
    field = inferred(here, "at")
    assert field.kind is FieldKind.TIME and field.zone == SHANGHAI  # type: ignore[attr-defined]
    utc.write_csv(tmp_path / "a.csv")
    for other in (utc, text, tmp_path / "a.csv"):
        assert different(here, other, schema(field)) == []
    encoder, _ = fitted(here, schema(field))
    derived = table("at", MOMENTS)
    with pytest.raises(EncodingError, match="'at'.*zone"):
        encoder.encode(derived)
    local, _ = fitted(derived, schema(Field("at", FieldKind.TIME)))
    with pytest.raises(EncodingError, match="'at'.*zone"):
        local.encode(here)


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e9])
def test_times_of_another_unit_are_refused(factor: float) -> None:
    stamps = [int(one.timestamp()) for one in MOMENTS]
    encoder, _ = fitted(table("ts", stamps), schema(Field("ts", FieldKind.TIME, unit="s")))
    with pytest.raises(EncodingError, match="'ts'.*unit"):
        encoder.encode(table("ts", [int(one * factor) for one in stamps]))


# Groups


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_rows_without_a_user_are_no_user(missing: Any) -> None:
    rng = np.random.default_rng(0)
    users = [missing if rng.random() < 0.5 else int(user) for user in rng.integers(0, 200, 2000)]
    cells = [str(user) if isinstance(missing, str) else user for user in users]
    rows = pl.DataFrame(
        {"user": pl.Series(cells, strict=False), "item": rng.integers(0, 9, 2000), "click": rng.integers(0, 2, 2000)}
    )
    of = schema(group="user")
    found = np.bincount(parts(rows, of, "user"), minlength=3) / 2000
    assert np.abs(found - [0.7, 0.1, 0.2]).max() < 0.04
    known = rows.filter(pl.Series([user != missing and user == user for user in users]))
    assert (
        np.intersect1d(
            *(known.filter(pl.Series(parts(known, of, "user") == part))["user"].to_numpy() for part in (0, 2))
        ).size
        == 0
    )
    scores = rng.random(2000).astype(np.float32)
    named = np.array([user is not None and user == user and user != "" for user in users])
    tasks = (Task("click", metrics=("auc", "log_loss", "gauc", "ndcg")),)
    whole, those = (
        evaluate(
            lambda place, kept=kept: scores[kept],
            fitted(rows.filter(pl.Series(kept)), schema(tasks=tasks, group="user"))[1],
            tasks,
        )
        for kept in (np.ones(2000, bool), named)
    )
    assert whole["click"]["gauc"] == those["click"]["gauc"] and whole["click"]["ndcg"] == those["click"]["ndcg"]


def test_a_user_is_one_user_in_every_form() -> None:
    of = schema(group="user")
    forms = (
        [7, 8, None, 9],
        [7.0, 8.0, float("nan"), 9.0],
        ["7", "8.0", "", "9"],
        [Decimal(7), Decimal(8), None, Decimal(9)],
    )
    numbers = [TableRoles(table("user", values), of).array("group").tolist() for values in forms]
    assert all(one == numbers[0] for one in numbers)


# Names


ODD_NAMES = (
    "^gspc$",
    "*",
    "^.*$",
    "a b",
    "ts:hour",
    "price:bin",
    "item:0",
    "user_id+item",
    "numeric",
    "value",
    "literal",
    "len",
)


def test_a_name_is_never_a_pattern_nor_a_derived_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    odd = {name: pl.Series(rng.integers(0, 5, 400)) for name in ODD_NAMES}
    rows = log().with_columns(
        pl.Series("ts", [MOMENTS[row % ROWS] for row in range(400)]), pl.Series("price", rng.random(400)),
        **odd,
    )  # fmt: skip
    run = fit(rows, settings=make_settings(QUICK | {"model": "mmoe"}), out=tmp_path / "run")
    scores = run.predictor.predict(rows, history=rows)
    assert scores.columns == ["click"]
    for name in ODD_NAMES:
        changed = pl.DataFrame({**dict(zip(rows.columns, rows.get_columns(), strict=True)), name: odd[name].reverse()})
        assert not scores.equals(run.predictor.predict(changed, history=rows)), name
    rows.write_csv(tmp_path / "a.csv")
    assert run.predictor.predict(tmp_path / "a.csv", history=rows).equals(scores)
    check_table(rows, ["click"])


def test_boosted_trees_use_a_column_whose_name_looks_derived() -> None:
    rng = np.random.default_rng(0)
    flag = rng.integers(0, 2, 600)
    rows = pl.DataFrame(
        {"price": rng.random(600), "price:bin": flag, "click": (rng.random(600) < 0.1 + 0.8 * flag).astype(int)}
    )
    run = fit(rows, settings=make_settings(QUICK | {"model": "lightgbm"}))
    assert run.metrics["test"]["tasks"]["click"]["auc"] > 0.75


def test_a_task_of_the_name_of_an_output_of_the_funnel_is_refused() -> None:
    fields, tasks = (Field("user_id", ID), Field("item_id", ID)), (Task("click"), Task("buy"))
    for name in ("buy_cvr", "click_ctr", "buy_ctcvr"):
        with pytest.raises(AutomtlError, match=f"'{name}'.*rename"):
            Schema(fields, (*tasks, Task(name)), funnel=("click", "buy"))
    Schema(fields, (*tasks, Task("buy_rate")), funnel=("click", "buy"))


@pytest.mark.parametrize("name", ["a\x1fb", "a\nb", "\x00"])
def test_a_column_with_a_control_character_in_its_name_is_refused(name: str) -> None:
    with pytest.raises(AutomtlError, match="control character"):
        fit(log().with_columns(pl.Series(name, CLICKS * 10)))


# Coverage


def test_twenty_nearly_empty_columns_are_left_out_with_one_message() -> None:
    rows = log().with_columns(
        pl.Series(f"s{place}", [1.5 if row == place * 19 + 3 else None for row in range(400)]) for place in range(20)
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run = fit_table(rows, ["click"], settings=make_settings(QUICK))
    told = [str(one.message) for one in found if "s7" in str(one.message)]
    assert len(told) <= 1
    assert run.predictor.predict(rows).height == 400


@pytest.mark.parametrize("option", [{}, {"positive_weight": 10.0}, {"negative_share": 0.2}], ids=str)
def test_boosted_trees_predict_the_base_rate_where_nothing_is_learned(option: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    rows = log(3000).with_columns(click=pl.Series((rng.random(3000) < 0.03).astype(int)))
    of = Schema((Field("user_id", ID), Field("item_id", ID)), (Task("click", **option),))
    run = fit(rows, of, settings=make_settings(QUICK | {"model": "lightgbm"}))
    assert run.predictor.predict(rows)["click"].mean() == pytest.approx(rows["click"].mean(), abs=0.015)  # type: ignore[arg-type]


def test_a_column_that_is_unknown_when_rows_are_scored_is_told_and_a_key_refused() -> None:
    rows = log().with_columns(vip=pl.Series(["a", "b", "c", "d"] * 100))
    of = Schema(
        tuple(Field(name, ID) for name in ("user_id", "item_id", "vip")),
        (Task("click"),),
        target_encoding=(("user_id",),),
    )
    predictor = fit(rows, of).predictor
    with pytest.warns(UserWarning, match=r"vip.*100 %.*unknown.*fit 0 %"):
        predictor.predict(rows.with_columns(vip=pl.lit("z")))
    strangers = rows.with_columns(user_id=pl.col("user_id") + 1000)
    with pytest.raises(AutomtlError, match="'user_id'"):
        predictor.predict(strangers)
    with pytest.warns(UserWarning, match="user_id"):
        predictor.predict(strangers, allow_unknown=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.predict(rows)


def test_roles_are_read_as_the_schema_says_whatever_the_file(tmp_path: Path) -> None:
    rows = log().with_columns(
        w=pl.Series(["0,5", "1,5"] * 200), part=pl.Series(["train", "train", " VAL ", "test"] * 100)
    )
    plain = rows.with_columns(w=pl.Series([0.5, 1.5] * 200))
    roles = ColumnRoles(weight="w", split="part")
    found = [fit(each, roles=roles).metrics["test"]["tasks"] for each in (rows, plain)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "text",
    [
        "[0 1 ... 998 999]",
        "[datetime.date(2024, 1, 31)]",
        "[1.15292150e+18 1.15292151e+18]",
        "[[1, 2], [3]]",
        "{1, 2}",
        "[it's, that's]",
    ],
)
def test_a_text_that_is_no_whole_list_is_refused(text: str) -> None:
    with pytest.raises(EncodingError, match="'tags'"):
        fitted(table("tags", ["[1, 2]", text]), schema(Field("tags", FieldKind.MULTI)))


@pytest.mark.parametrize("text", ["[ 1. nan 22.]", "[np.int64(1), np.int64(22)]", "(1, 22)", "[1\n 22]", '["1", "22"]'])
def test_a_list_is_one_list_however_python_prints_it(text: str) -> None:
    of = schema(Field("tags", FieldKind.MULTI))
    assert different(table("tags", [[1, 22], [3]]), table("tags", [text, "[3]"]), of) == []
