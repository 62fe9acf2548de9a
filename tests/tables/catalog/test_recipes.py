"""Recipes against plain Python, on generated files and on genuine pieces."""

from __future__ import annotations

import csv
import gzip
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from automtl.tables.catalog import DATASETS, census, kuairand
from automtl.tables.catalog.prepare import prepare
from automtl.tables.schema import Schema
from tests.genuine import genuine
from tests.tables.catalog.raw import RAW, write


def rows_of(path: Path) -> list[list[str]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        return list(csv.reader(file))


def prepared(name: str, folder: Path, variant: str | None = None) -> pl.DataFrame:
    out = folder.parent / "table.parquet"
    prepare(DATASETS.find(name), folder, out, variant)
    return pl.read_parquet(out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def user_behavior_rows(events: Iterable[list[str]], bought: int = 10) -> set[tuple[int, ...]]:
    labels: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for user, item, category, behaviour, _ in events:
        labels[user, item, category].add(behaviour)
    users = Counter(key[0] for key, seen in labels.items() if "buy" in seen)
    items = Counter(key[1] for key, seen in labels.items() if "buy" in seen)
    return {
        (*map(int, key), *(int(name in seen) for name in ("pv", "buy", "cart", "fav")))
        for key, seen in labels.items()
        if users[key[0]] >= bought and items[key[1]] >= bought
    }


def test_user_behavior(folder: Path) -> None:
    RAW["userbehavior-2017"][0](folder, random.Random(3))
    expected = user_behavior_rows(rows_of(folder / "UserBehavior.csv"))
    every = user_behavior_rows(rows_of(folder / "UserBehavior.csv"), bought=0)
    table = prepared("userbehavior-2017", folder)
    assert set(table.rows()) == expected
    assert 20 < table.height == len(expected) < len(every)
    assert table.rows() == sorted(table.rows())


def test_user_behavior_on_the_genuine_slice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hours hold few purchases, so the bound is lowered to 2 bought rows."""
    piece = genuine("raw/UserBehavior_slice.csv.gz")
    shutil.copy(piece, folder / "UserBehavior.csv.gz")
    monkeypatch.setattr("automtl.tables.catalog.user_behavior.BOUGHT", 2)
    table = prepared("userbehavior-2017", folder)
    assert set(table.rows()) == user_behavior_rows(rows_of(piece), bought=2)
    assert table.height > 0


def test_ijcai(folder: Path) -> None:
    RAW["ijcai-2015"][0](folder, random.Random(3))
    info = {row[0]: row[1:] for row in rows_of(folder / "user_info_format1.csv")[1:] if "" not in row}
    actions: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows_of(folder / "user_log_format1.csv")[1:]:
        if "" not in row and row[0] in info:
            actions[tuple(row[:5])].add(row[6])
    users = Counter(key[0] for key, seen in actions.items() if "2" in seen)
    items = Counter(key[1] for key, seen in actions.items() if "2" in seen)
    expected = {
        (*map(int, key), *map(int, info[key[0]]), int("3" in seen), int("2" in seen))
        for key, seen in actions.items()
        if users[key[0]] >= 20 and items[key[1]] >= 10
    }
    table = prepared("ijcai-2015", folder)
    assert set(table.rows()) == expected
    assert 100 < table.height == len(expected) < len(actions)


@pytest.mark.parametrize("variant", ["default", "published"])
def test_aliexpress(folder: Path, variant: str) -> None:
    RAW["aliexpress-fr"][0](folder, random.Random(3))
    table = prepared("aliexpress-fr", folder, variant)
    expected = []
    for part in ("train", "test"):
        users = {row[0]: row for row in rows_of(folder / f"fr_user_{part}.csv")}
        for item in rows_of(folder / f"fr_item_{part}.csv"):
            label, user = int(item[48]), users[item[0]]
            click = label == 1 if variant == "published" else label >= 1
            expected.append(
                (item[0], item[18], float(item[1]), user[1], user[32], float(user[8]), part, click, label == 2)
            )
    columns = ["search_id", "item_19", "item_2", "user_2", "user_33", "user_9", "split", "click", "conversion"]
    found = table.select(columns).with_columns(pl.col(pl.Float32).cast(pl.Float64).round(5))
    assert found.rows() == [
        (*row[:2], pytest.approx(row[2]), *row[3:5], pytest.approx(row[5]), *row[6:]) for row in expected
    ]
    kinds = Counter(field.kind.value for field in Schema.read(folder.parent / "table.schema.yaml").fields)
    assert kinds == {"categorical": 16, "numeric": 63}


@pytest.mark.parametrize(("variant", "clicks"), [("default", 1), ("published", 0)])
def test_aliexpress_on_the_genuine_one_file_rows(folder: Path, variant: str, clicks: int) -> None:
    for part in ("train", "test"):
        shutil.copy(genuine(f"raw/aliexpress_{part}_sample.csv"), folder / f"{part}.csv")
    table = prepared("aliexpress-es", folder, variant)
    assert table["split"].value_counts().sort("split").rows() == [("test", 20), ("train", 100)]
    bought = table.filter(pl.col("conversion") == 1)
    assert bought.height > 0
    assert bought["click"].to_list() == [clicks] * bought.height
    raw = pl.read_csv(folder / "train.csv")
    assert table.filter(pl.col("split") == "train")["categorical_7"].to_list() == raw["categorical_7"].to_list()


def test_ali_ccp(folder: Path) -> None:
    RAW["ali-ccp"][0](folder, random.Random(3))
    table = prepared("ali-ccp", folder)

    def features(text: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for feature in text.split("\x01"):
            field, value = feature.split("\x03")[0].split("\x02")
            found[field].append(int(value))
        return found

    expected = []
    for part in ("train", "test"):
        common = {row[0]: features(row[2]) for row in rows_of(folder / f"common_features_{part}.csv")}
        for row in rows_of(folder / f"sample_skeleton_{part}.csv"):
            user, item = common[row[3]], features(row[5])
            expected.append(
                (user["101"][0], user["109_14"], item["205"][0], item["210"], part, int(row[1]), int(row[2]))
            )
    assert table.select("101", "109_14", "205", "210", "split", "click", "purchase").rows() == expected


def test_ali_ccp_on_the_genuine_one_file_rows(folder: Path) -> None:
    for part in ("train", "val", "test"):
        shutil.copy(genuine(f"raw/ali_ccp_{part}_sample.csv"), folder / f"ali_ccp_{part}.csv")
    table = prepared("ali-ccp", folder)
    heights = {part: len(rows_of(folder / f"ali_ccp_{part}.csv")) - 1 for part in ("train", "val", "test")}
    assert dict(table["split"].value_counts().iter_rows()) == heights
    raw = pl.read_csv(folder / "ali_ccp_train.csv")
    kept = table.filter(pl.col("split") == "train")
    assert kept.select("click", "purchase", "205", "853").rows() == raw.select("click", "purchase", "205", "853").rows()


def test_movielens_joins_genres_and_years(folder: Path) -> None:
    for name, place in (("movielens-100k", "u.data"), ("movielens-1m", "ratings.dat")):
        RAW[name][0](folder, random.Random(3))
        table = prepared(name, folder)
        separator = "\t" if place == "u.data" else "::"
        ratings = [list(map(int, line.split(separator))) for line in (folder / place).read_text().splitlines()]
        assert table.select("user_id", "item_id", "like", "love", "timestamp").rows() == [
            (user, item, int(stars >= 4), int(stars == 5), time) for user, item, stars, time in ratings
        ]
        assert table["year"].to_list() == [1990 + item % 9 for _, item, _, _ in ratings]
    assert table.filter(pl.col("item_id") == 5)["genres"][0] == "Children's|Musical"


def raw_columns(table: pl.DataFrame, columns: Iterable[Any], fill: Callable[[str], Any]) -> pl.DataFrame:
    """The table's columns in the order of a raw file; what it lacks is filled."""
    names = [column.name for column in columns]
    return table.select(pl.col(name) if name in table.columns else pl.lit(fill(name)).alias(name) for name in names)


def test_kuairand_on_genuine_rows(folder: Path) -> None:
    genuine_rows = pl.read_parquet(genuine("kuairand.parquet")).head(3000)
    log = raw_columns(genuine_rows, kuairand.LOG, lambda name: 0)
    log.head(2000).write_csv(folder / kuairand.STANDARD[0])
    log.tail(1000).write_csv(folder / kuairand.STANDARD[1])
    log.write_csv(folder / kuairand.RANDOM)
    users, videos = genuine_rows.unique("user_id"), genuine_rows.unique("video_id")
    raw_columns(users, kuairand.USERS.columns, str).write_csv(folder / kuairand.USERS.name)
    upload = pl.date_range(pl.date(2022, 4, 1), pl.date(2022, 4, 1)).first()
    videos = videos.with_columns(tag="tag1", upload_dt=upload.cast(pl.String))
    raw_columns(videos, kuairand.VIDEOS.columns, lambda name: None).write_csv(folder / kuairand.VIDEOS.name)
    table = prepared("kuairand-pure", folder)
    same = ["user_id", "video_id", "tab", "hour", "fans_user_num_range", "play_time_ms", *kuairand.TASKS]
    assert table.select(same).rows() == genuine_rows.select(same).rows()
    assert table["author_id"].to_list() == genuine_rows["author_id"].cast(pl.String).to_list()


def test_census_on_genuine_rows(folder: Path) -> None:
    genuine_rows = pl.read_parquet(genuine("census.parquet"))
    for part, name in census.FILES.items():
        rows = genuine_rows.filter(pl.col("split") == part).head(3000).select(census.NAMES)
        write(folder / name, [list(row) for row in rows.rows()], ", ")
    tables = [prepared("census-income", folder, variant) for variant in ("income", "education")]
    expected = pl.concat([genuine_rows.filter(pl.col("split") == part).head(3000) for part in census.FILES])
    for table in tables:
        for name in ("label_income", "label_never_married", "label_some_college"):
            assert name not in table.columns or table[name].to_list() == expected[name].to_list()
        assert table["det_hh_summ"].to_list() == expected["det_hh_summ"].to_list()
    assert "label_some_college" in tables[1].columns
