"""Small files in the exact raw format of each dataset, by a seed; and what a plain walk over them gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from automtl.tables.catalog import aliexpress, census, kuairand
from automtl.tables.catalog.ali_ccp import CONTEXT, HISTORY, ITEM, ONE_FILE_COLUMNS, USER


def write(path: Path, rows: list[list[object]], separator: str = ",", header: str | None = None) -> None:
    lines = [separator.join("" if cell is None else str(cell) for cell in row) for row in rows]
    path.write_text("\n".join(([header] if header else []) + lines) + "\n", encoding="utf-8")


def user_behavior(folder: Path, rng: random.Random) -> None:
    behaviours = ["pv"] * 3 + ["buy"] * 3 + ["cart", "fav"]
    rows: list[list[object]] = []
    for event in range(3000):
        item = int(70 * rng.random() ** 2)
        rows.append([int(90 * rng.random() ** 2), item, item % 5, rng.choice(behaviours), 1511658000 + event])
    write(folder / "UserBehavior.csv", rows)


def ijcai(folder: Path, rng: random.Random) -> None:
    header = "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"
    rows = []
    for _ in range(4000):
        item = int(60 * rng.random() ** 1.5)
        brand = None if item % 9 == 0 else item % 4
        rows.append([rng.randrange(60), item, item % 5, item % 7, brand, 829, rng.choice([0, 0, 2, 2, 2, 3, 1])])
    write(folder / "user_log_format1.csv", rows, header=header)
    info = [[user, None if user % 8 == 0 else user % 7, None if user % 11 == 0 else user % 3] for user in range(60)]
    write(folder / "user_info_format1.csv", info, header="user_id,age_range,gender")


def aliexpress_files(country: str) -> Callable[[Path, random.Random], None]:
    def files(folder: Path, rng: random.Random) -> None:
        for part, searches in (("train", 60), ("test", 25)):
            users = [[f"s{part}{search}", *_cells(rng, aliexpress.USER_FIELDS)] for search in range(searches)]
            items = [
                [f"s{part}{rng.randrange(searches)}", *_cells(rng, aliexpress.ITEM_FIELDS), rng.choice([0, 0, 0, 1, 2])]
                for _ in range(4 * searches)
            ]
            write(folder / f"{country}_user_{part}.csv", users)
            write(folder / f"{country}_item_{part}.csv", items)

    return files


def _cells(rng: random.Random, fields: tuple[aliexpress.Field, ...]) -> list[object]:
    return [rng.randrange(9) if field.kind == "categorical" else round(rng.random(), 5) for field in fields]


def kuairand_pure(folder: Path, rng: random.Random) -> None:
    for name in (*kuairand.STANDARD, kuairand.RANDOM):
        rows = [[_log_cell(rng, column.name) for column in kuairand.LOG] for _ in range(150)]
        write(folder / name, rows, header=_header(kuairand.LOG))
    users = [[user, *(_text(rng, column.name) for column in kuairand.USERS.columns[1:])] for user in range(20)]
    write(folder / kuairand.USERS.name, users, header=_header(kuairand.USERS.columns))
    videos = [[video, *(_text(rng, column.name) for column in kuairand.VIDEOS.columns[1:])] for video in range(30)]
    write(folder / kuairand.VIDEOS.name, videos, header=_header(kuairand.VIDEOS.columns))


def _header(columns: tuple[kuairand.Column, ...]) -> str:
    return ",".join(column.name for column in columns)


def _log_cell(rng: random.Random, name: str) -> object:
    fixed = {"user_id": 20, "video_id": 30, "date": 1, "hourmin": 24, "time_ms": 10**6}
    if name == "date":
        return 20220410 + rng.randrange(15)
    if name == "hourmin":
        return 100 * rng.randrange(24)
    return rng.randrange(fixed.get(name, 2))


def _text(rng: random.Random, name: str) -> object:
    if name.endswith("range"):
        return '"[10,100)"'  # quoted, since it holds a comma
    if name == "upload_dt":
        return f"2022-04-{rng.randrange(1, 10):02d}"
    return "1" if name != "tag" else rng.choice(["3", "7"])


def ali_ccp(folder: Path, rng: random.Random) -> None:
    def features(pairs: list[tuple[str, int]]) -> str:
        return "\x01".join(f"{field}\x02{value}\x031.0" for field, value in pairs)

    for part in ("train", "test"):
        common = [
            [f"c{part}{user}", 3, features([*((field, user % 4) for field in USER[1:]), ("101", user),
             *((field, 7 + k) for field in HISTORY for k in range(user % 3))])]
            for user in range(12)
        ]  # fmt: skip
        write(folder / f"common_features_{part}.csv", common)
        samples = []
        for row in range(120):
            click = rng.randrange(2)
            pairs = [(field, rng.randrange(6)) for field in ITEM + CONTEXT] + [("210", 5), ("210", 6), ("853", row)]
            samples.append([row, click, click * rng.randrange(2), f"c{part}{rng.randrange(12)}", 5, features(pairs)])
        write(folder / f"sample_skeleton_{part}.csv", samples)


def ali_ccp_one_file(folder: Path, rng: random.Random) -> None:
    header = _header(ONE_FILE_COLUMNS)
    for part in ("train", "val", "test"):
        rows = [[rng.randrange(2) for _ in ONE_FILE_COLUMNS] for _ in range(80)]
        write(folder / f"ali_ccp_{part}.csv", rows, header=header)


def aliexpress_one_file(folder: Path, rng: random.Random) -> None:
    header = _header(aliexpress.ONE_FILE_COLUMNS)
    for part in ("train", "test"):
        rows = [[rng.randrange(2) for _ in aliexpress.ONE_FILE_COLUMNS] for _ in range(80)]
        write(folder / f"{part}.csv", [[*row[:-1], row[-1] * row[-2]] for row in rows], header=header)


GENRES_1M = ["Action|Comedy", "Drama", "Children's|Musical"]


def movielens_100k(folder: Path, rng: random.Random) -> None:
    ratings = [[rng.randrange(9), rng.randrange(12), rng.randrange(1, 6), 880000000 + k] for k in range(200)]
    write(folder / "u.data", ratings, "\t")
    write(folder / "u.user", [[u, 20 + u, "MF"[u % 2], "writer", f"0{u}100"] for u in range(9)], "|")
    flags = [[int(genre in (i % 19, i % 7)) for genre in range(19)] for i in range(12)]
    write(folder / "u.item", [[i, f"Film {i} (199{i % 9})", "", "", "", *flags[i]] for i in range(12)], "|")


def movielens_1m(folder: Path, rng: random.Random) -> None:
    ratings = [[rng.randrange(9), rng.randrange(12), rng.randrange(1, 6), 978300000 + k] for k in range(200)]
    write(folder / "ratings.dat", ratings, "::")
    write(folder / "users.dat", [[u, "MF"[u % 2], 25, u % 3, f"0{u}100"] for u in range(9)], "::")
    write(folder / "movies.dat", [[i, f"Film: {i} (199{i % 9})", GENRES_1M[i % 3]] for i in range(12)], "::")


def census_income(folder: Path, rng: random.Random) -> None:
    texts = {"marital_stat": ["Never married", "Widowed"], "education": ["Children", census.COLLEGE[0]]}
    texts |= {"income_50k": list(census.INCOMES)}
    for name, rows in (("census-income.data", 150), ("census-income.test", 60)):
        cells = [
            [rng.choice(texts.get(column.name, ["1", "2"] if column.type.is_float() else ["a", "?"]))
             for column in census.COLUMNS] for _ in range(rows)
        ]  # fmt: skip
        write(folder / name, cells, ", ")


RAW: dict[str, tuple[Callable[[Path, random.Random], None], ...]] = {
    "userbehavior-2017": (user_behavior,),
    "ijcai-2015": (ijcai,),
    **{
        f"aliexpress-{country}": (aliexpress_files(country), aliexpress_one_file)
        for country in ("nl", "es", "fr", "us")
    },
    "kuairand-pure": (kuairand_pure,),
    "ali-ccp": (ali_ccp, ali_ccp_one_file),
    "movielens-100k": (movielens_100k,),
    "movielens-1m": (movielens_1m,),
    "census-income": (census_income,),
}
