"""KuaiRand-Pure: videos shown to users of Kuaishou, April and May 2022 (Gao et al., CIKM 2022)."""

from __future__ import annotations

import polars as pl

from automtl.tables.catalog.base import Column, Dataset, Files, Form, RawFile, Recipe, columns
from automtl.tables.catalog.parts import categorical, numeric
from automtl.tables.schema import Field, FieldKind, Schema, Task

TASKS = ("is_click", "long_view", "is_like", "is_profile_enter")
OUTCOMES = (
    "is_follow", "is_comment", "is_forward", "is_hate", "play_time_ms", "profile_stay_time", "comment_stay_time",
)  # fmt: skip
LOG = tuple(
    Column(name, required=name in ("user_id", "video_id", "time_ms"), values=(0, 1) if name in TASKS else ())
    for name in (  # noqa: SIM905
        "user_id video_id date hourmin time_ms is_click is_like is_follow is_comment is_forward is_hate long_view "
        "play_time_ms duration_ms profile_stay_time comment_stay_time is_profile_enter is_rand tab"
    ).split()
)
RANGED = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
FLAGS = ("is_lowactive_period", "is_live_streamer", "is_video_author")
HIDDEN = tuple(f"onehot_feat{place}" for place in range(18))
USERS = RawFile(
    "user_features_pure.csv",
    (
        Column("user_id"), Column("user_active_degree", pl.String, False), *columns(" ".join(FLAGS), required=False),
        *(column for name in RANGED for column in (
            Column(name, pl.Float64, False), Column(f"{name}_range", pl.String, False))),
        *columns(" ".join(HIDDEN), pl.Float64, False),
    ),
    header=True,
)  # fmt: skip
VIDEO_CODES = ("author_id", "video_type", "upload_type", "visible_status", "music_id", "music_type")
VIDEOS = RawFile(
    "video_features_basic_pure.csv",
    (
        Column("video_id"), *columns("author_id video_type upload_dt upload_type visible_status", pl.String, False),
        *columns("video_duration server_width server_height", pl.Float64, False),
        *columns("music_id music_type tag", pl.String, False),
    ),
    header=True,
)  # fmt: skip
STANDARD = ("log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv")
RANDOM = "log_random_4_22_to_5_08_pure.csv"


def _build(files: Files, variant: str) -> Recipe:
    names = (RANDOM,) if variant == "random" else STANDARD
    day = pl.col("date").cast(pl.String).str.to_date("%Y%m%d", strict=False)
    upload = pl.col("upload_dt").str.to_date("%Y-%m-%d", strict=False)
    rows = pl.concat([files[name] for name in names])
    for file, key in ((USERS, "user_id"), (VIDEOS, "video_id")):
        rows = rows.join(files[file.name], on=key, how="left", maintain_order="left")
    rows = rows.with_columns(
        hour=pl.col("hourmin") // 100,
        weekday=day.dt.weekday(),
        video_age_days=(day - upload).dt.total_days(),
    )
    fields = (
        *categorical("user_id", "video_id", "tab", "hour", "weekday", "user_active_degree", *FLAGS),
        *categorical(*(f"{name}_range" for name in RANGED), *HIDDEN, *VIDEO_CODES),
        Field("tag", FieldKind.MULTI, delimiter=","),
        *numeric("duration_ms", *RANGED, "video_duration", "server_width", "server_height", "video_age_days"),
    )
    kept = [field.name for field in fields]
    tasks = tuple(Task(name) for name in TASKS)
    keys = tuple((key,) for key in ("user_id", "video_id", "author_id", "music_id"))
    schema = Schema(fields, tasks, group="user_id", time="time_ms", target_encoding=keys)
    return rows.select(*kept, "time_ms", *OUTCOMES, *TASKS), schema


KUAIRAND = Dataset(
    "KuaiRand-Pure",
    "Kuaishou and USTC publish it at zenodo.org/records/10439422 as KuaiRand-Pure.tar.gz; its folder 'data' holds the "
    "files.",
    "CC BY-SA 4.0",
    "Rows of the log joined with user features and basic video features (the statistics of videos are left out: "
    "they count later events). Labels is_click, long_view, is_like, is_profile_enter; other feedback and times "
    "spent stay in the table, but are no inputs. Split it by time.",
    (Form((*(RawFile(name, LOG, header=True) for name in (*STANDARD, RANDOM)), USERS, VIDEOS), _build),),
    {"standard": {"rows": 1_436_609}, "random": {"rows": 1_186_059}},
    OUTCOMES,
    {"standard": "what the recommender showed", "random": "videos that were shown at random"},
)
