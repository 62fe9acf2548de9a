"""MovieLens 100K and 1M: ratings of films, 1 to 5 stars (Harper and Konstan, TiiS 2015)."""

from __future__ import annotations

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe, columns
from automtl.tables.catalog.parts import categorical, numeric
from automtl.tables.schema import Field, FieldKind, Schema, Task

RATINGS = (*columns("user_id item_id"), Column("rating", values=(1, 2, 3, 4, 5)), Column("timestamp"))
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
TEXT = pl.String


def _table(ratings: pl.LazyFrame, users: pl.LazyFrame, items: pl.LazyFrame) -> Recipe:
    """Join ratings with users (gender, age, occupation, zip_code) and items (title with the year, genres with '|')."""
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64)
    rows = ratings.join(users, on="user_id", how="left", maintain_order="left")
    rows = rows.join(items.with_columns(year=year), on="item_id", how="left", maintain_order="left")
    fields = (
        *categorical("user_id", "item_id", "gender", "occupation", "zip_code"),
        *numeric("age", "year"),
        Field("genres", FieldKind.MULTI, delimiter="|"),
    )
    labels = {"like": (pl.col("rating") >= 4).cast(pl.Int8), "love": (pl.col("rating") == 5).cast(pl.Int8)}
    tasks = tuple(Task(name) for name in labels)
    schema = Schema(fields, tasks, group="user_id", time="timestamp", target_encoding=(("user_id",), ("item_id",)))
    return rows.select(*(field.name for field in fields), "timestamp", "rating", **labels), schema


def _build_100k(files: Files, variant: str) -> Recipe:
    named = [pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in GENRES]
    items = files["u.item"].select("item_id", "title", genres=pl.concat_str(named, separator="|", ignore_nulls=True))
    return _table(files["u.data"], files["u.user"], items)


def _build_1m(files: Files, variant: str) -> Recipe:
    return _table(files["ratings.dat"], files["users.dat"], files["movies.dat"])


def _dataset(size: str, archive: str, form: Form, expected: dict[str, int]) -> Dataset:
    return Dataset(
        f"MovieLens {size}",
        f"GroupLens publishes it at grouplens.org/datasets/movielens as {archive}.",
        "for research, by the terms of its README; no redistribution without permission",
        "One row a rating, joined with user and film; labels: like (4 or 5 stars), love (5 stars); genres are a "
        "multi-valued input.",
        (form,),
        {"default": expected},
        ("rating",),
    )


ITEM = (
    Column("item_id"), Column("title", TEXT, False), *columns("release video_release address", TEXT, False),
    *(Column(genre, values=(0, 1)) for genre in GENRES),
)  # fmt: skip
USER = (Column("user_id"), Column("age"), *columns("gender occupation zip_code", TEXT))
MOVIELENS_100K = _dataset(
    "100K", "ml-100k.zip",
    Form((RawFile("u.data", RATINGS, separator="\t"), RawFile("u.user", USER, separator="|"),
          RawFile("u.item", ITEM, separator="|")), _build_100k),
    {"rows": 100_000, "user_id": 943, "item_id": 1_682},
)  # fmt: skip
MOVIELENS_1M = _dataset(
    "1M", "ml-1m.zip",
    Form((RawFile("ratings.dat", RATINGS, separator="::"),
          RawFile("users.dat", (Column("user_id"), Column("gender", TEXT), Column("age"),
                                *columns("occupation zip_code", TEXT)), separator="::"),
          RawFile("movies.dat", (Column("item_id"), *columns("title genres", TEXT)), separator="::")), _build_1m),
    {"rows": 1_000_209, "user_id": 6_040, "item_id": 3_706},
)  # fmt: skip
