"""Scores of pieces are those of the whole table, and a run that was stopped goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest

import automtl
from automtl.errors import AutomtlError, EncodingError, FileError, TableError
from automtl.predictor import Predictor
from automtl.serving.scoring.formats import WRITTEN, Format, opened
from automtl.serving.scoring.predict import predict_table
from automtl.system.files import locked
from automtl.system.progress import Event, Notice, Progress
from automtl.tables.table import read_table, write_table

SMALL = 2_048  # rows of the smallest piece


class Stop(Exception):
    """Stops a run from within, as a kill does."""


def stopping(after: int):  # type: ignore[no-untyped-def]
    """A callback that stops the run after so many pieces."""

    def stop(event: Event) -> None:
        nonlocal after
        if isinstance(event, Progress) and event.stage == "scoring":
            after -= 1
            if after == 0:
                raise Stop

    return stop


@pytest.mark.parametrize("rows", [1, SMALL + 1, 1 << 20])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_scores_of_any_size_of_piece_are_those_of_the_whole_table(
    rows: int, ending: str, model: Path, large: pl.DataFrame, scores: pl.DataFrame, tmp_path: Path
) -> None:
    table = large if ending == "parquet" else large.with_columns(pl.format("['{}']", pl.col("tags").list.join("', '")))
    write_table(table, tmp_path / f"in.{ending}")
    found = predict_table(
        model, str(tmp_path / f"in.{ending}"), tmp_path / "out.parquet", keep=["row", "device"], rows_per_piece=rows
    )
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert found == large.height
    assert out.select("row", "device").equals(large.select(pl.col("row").cast(out["row"].dtype), "device"))
    assert out.drop("row", "device").equals(scores)


def test_parts_of_any_size_and_form_are_one_table(
    model: Path, large: pl.DataFrame, scores: pl.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    texts = large.with_columns(pl.format("['{}']", pl.col("tags").list.join("', '")))
    for place, start in enumerate(range(0, large.height, 900)):
        part = (texts if place % 2 else texts.with_columns(pl.col("user_id").cast(pl.String)))[start : start + 900]
        write_table(part, tmp_path / "in" / f"{place}.{'csv' if place % 3 else 'parquet'}")
    predict_table(model, str(tmp_path / "in"), tmp_path / "out.parquet", keep=["user_id"], rows_per_piece=1)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.drop("user_id").equals(scores)
    assert out["user_id"].equals(large["user_id"])


@pytest.mark.parametrize("replay", [False, True])
def test_rows_that_know_of_each_other_are_scored_as_in_the_whole_table(
    replay: bool, timed_model: Path, log: pl.DataFrame, large: pl.DataFrame, tmp_path: Path
) -> None:
    later = large.with_columns(pl.col("row") + log.height).head(5_000).sample(fraction=1.0, shuffle=True, seed=1)
    asked = log.with_row_index("row").head(900) if replay else later
    log.with_row_index("row").write_parquet(tmp_path / "log.parquet")
    asked.write_parquet(tmp_path / "in.parquet")
    past = str(tmp_path / "log.parquet") if replay else None
    told: list[Event] = []
    predict_table(
        timed_model, str(tmp_path / "in.parquet"), tmp_path / "out.arrow", history=past, rows_per_piece=1,
        callback=told.append,
    )  # fmt: skip
    want = Predictor.load(timed_model).predict(asked, history=past)
    assert pl.read_ipc(tmp_path / "out.arrow").equals(want)
    assert any(isinstance(event, Notice) and "held in memory" in event.text for event in told)
    alone = asked.drop("click") if not replay else None
    if alone is not None:
        alone.write_parquet(tmp_path / "in.parquet")
        predict_table(timed_model, str(tmp_path / "in.parquet"), tmp_path / "alone.arrow", rows_per_piece=1)
        assert pl.read_ipc(tmp_path / "alone.arrow").equals(Predictor.load(timed_model).predict(alone))


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.csv.gz", "o.tsv.gz", "o.txt", "o.pq", "o.feather", "folder/"])
def test_what_is_written_in_a_form_is_read_as_the_same_table(
    name: str, model: Path, large: pl.DataFrame, scores: pl.DataFrame, tmp_path: Path
) -> None:
    large.write_parquet(tmp_path / "in.parquet")
    out = f"{tmp_path}/{name}"
    predict_table(model, str(tmp_path / "in.parquet"), out, keep=["user_id"], rows_per_piece=1)
    assert read_table(out).equals(large.select("user_id").hstack(scores))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.parquet", name.strip("/")])


def test_lines_of_json_go_to_a_pipe(
    model: Path, large: pl.DataFrame, scores: pl.DataFrame, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    large.write_parquet(tmp_path / "in.parquet")
    predict_table(model, str(tmp_path / "in.parquet"), "-", format="jsonl", keep=["tags"], rows_per_piece=1)
    assert pl.read_ndjson(capfdbinary.readouterr().out).equals(large.select("tags").hstack(scores))


@pytest.mark.parametrize("name", ["out.csv.gz", "out.parquet"])
@pytest.mark.parametrize("after", [1, 3])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(
    name: str, after: int, model: Path, large: pl.DataFrame, tmp_path: Path
) -> None:
    write_table(large.drop("tags").with_columns(tags=pl.lit("['t1']")), tmp_path / "in.csv")
    source, told = str(tmp_path / "in.csv"), list[Event]()
    predict_table(model, source, tmp_path / f"whole.{name}", keep=["item_id"], rows_per_piece=1)
    with pytest.raises(Stop):
        predict_table(
            model, source, tmp_path / name, keep=["item_id"], rows_per_piece=1, callback=stopping(after)
        )  # fmt: skip
    assert not (tmp_path / name).exists()
    predict_table(model, source, tmp_path / name, keep=["item_id"], rows_per_piece=1, callback=told.append)
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole.{name}").read_bytes()
    assert [e.text for e in told if isinstance(e, Notice)] == [
        f"an earlier run has scored {after * SMALL:,} rows; this one goes on from there"
    ]
    assert not list(tmp_path.glob(".*"))


def test_a_killed_process_goes_on_and_ends_with_the_same_bytes(model: Path, tmp_path: Path) -> None:
    """Killed at two moments while it scores, and once before it does."""
    from automtl.tables.synthetic import synthetic_log

    synthetic_log(30_000, users=60, items=40, seed=9).write_parquet(tmp_path / "in.parquet")
    predict_table(model, str(tmp_path / "in.parquet"), tmp_path / "whole.csv", rows_per_piece=1)
    command = [
        sys.executable, "-m", "automtl", "predict", str(model), str(tmp_path / "in.parquet"), "--out",
        str(tmp_path / "out.csv"), "--rows-per-piece", "1",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(automtl.__file__).parents[1])}
    units = tmp_path / ".out.csv.predict" / "units"
    for wanted in (2, 6):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list(units.glob("*"))) < wanted:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out.csv").exists() and len(list(units.glob("*"))) >= wanted
    predict_table(model, str(tmp_path / "in.parquet"), tmp_path / "out.csv", rows_per_piece=1)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_run_that_goes_on_warns_of_all_rows(model: Path, large: pl.DataFrame, tmp_path: Path) -> None:
    absent = large.with_columns(pl.when(pl.col("row") > 2_500).then(None).otherwise("price").alias("price"))
    absent.write_parquet(tmp_path / "in.parquet")
    with pytest.raises(Stop):
        predict_table(
            model, str(tmp_path / "in.parquet"), tmp_path / "o.csv", rows_per_piece=1, callback=stopping(2)
        )  # fmt: skip
    with pytest.warns(UserWarning, match="column 'price': 64.3 % of the values are missing, at fit 0 %"):
        predict_table(model, str(tmp_path / "in.parquet"), tmp_path / "o.csv", rows_per_piece=1)


@pytest.mark.parametrize("changed", ["input", "options"])
def test_another_job_begins_anew_and_says_so(
    changed: str, model: Path, large: pl.DataFrame, scores: pl.DataFrame, tmp_path: Path
) -> None:
    large.reverse().write_parquet(tmp_path / "in.parquet")
    with pytest.raises(Stop):
        predict_table(
            model, str(tmp_path / "in.parquet"), tmp_path / "o.csv", rows_per_piece=1, callback=stopping(2),
            prefix="" if changed == "input" else "p_",
        )  # fmt: skip
    large.write_parquet(tmp_path / "in.parquet")
    told: list[Event] = []
    predict_table(
        model, str(tmp_path / "in.parquet"), tmp_path / "o.csv", rows_per_piece=1, callback=told.append
    )  # fmt: skip
    assert any(isinstance(event, Notice) and "scoring begins anew" in event.text for event in told)
    assert read_table(tmp_path / "o.csv").equals(scores)


def test_two_runs_do_not_write_one_output(model: Path, large: pl.DataFrame, tmp_path: Path) -> None:
    large.write_parquet(tmp_path / "in.parquet")
    with locked(tmp_path / ".o.csv.predict"), pytest.raises(FileError, match="another process works in"):
        predict_table(model, str(tmp_path / "in.parquet"), tmp_path / "o.csv")


def test_an_output_that_exists_is_replaced_only_if_asked_and_never_with_strange_files(
    model: Path, large: pl.DataFrame, tmp_path: Path
) -> None:
    source = str(tmp_path / "in.parquet")
    large.head(50).write_parquet(source)
    (tmp_path / "o.csv").write_text("mine")
    with pytest.raises(FileError, match="exists; choose another --out, or pass --overwrite"):
        predict_table(model, source, tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == "mine"
    predict_table(model, source, tmp_path / "o.csv", overwrite=True)
    assert read_table(tmp_path / "o.csv").height == 50
    predict_table(model, source, f"{tmp_path}/parts/")
    predict_table(model, source, f"{tmp_path}/parts", overwrite=True)
    (tmp_path / "parts" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileError, match="holds 'thesis.txt', which is no part of scores"):
        predict_table(model, source, tmp_path / "parts", overwrite=True)


def test_ids_that_are_all_unknown_are_refused_before_anything_is_scored(
    model: Path, large: pl.DataFrame, tmp_path: Path
) -> None:
    strange = large.with_columns(pl.format("user {}", "user_id").alias("user_id"))
    strange.write_parquet(tmp_path / "in.parquet")
    with pytest.raises(EncodingError) as found:
        predict_table(
            model, str(tmp_path / "in.parquet"), tmp_path / "o.csv", rows_per_piece=1, callback=stopping(1)
        )  # fmt: skip
    with pytest.raises(EncodingError) as whole:
        Predictor.load(model).predict(strange)
    assert str(found.value) == str(whole.value)
    with pytest.warns(UserWarning, match="column 'user_id': 100 % of the values are unknown, at fit"):
        predict_table(
            model, str(tmp_path / "in.parquet"), tmp_path / "o.csv", rows_per_piece=1, allow_unknown=True
        )  # fmt: skip


def test_one_known_id_at_the_end_lets_the_table_pass_as_in_memory(
    model: Path, large: pl.DataFrame, tmp_path: Path
) -> None:
    strange = pl.when(pl.col("row") < large.height - 1).then(pl.col("user_id") + 1_000_000).otherwise("user_id")
    table = large.with_columns(strange.alias("user_id"))
    table.write_parquet(tmp_path / "in.parquet")
    with pytest.warns(UserWarning, match="column 'user_id'"):
        want = Predictor.load(model).predict(table)
    with pytest.warns(UserWarning, match="column 'user_id'"):
        predict_table(model, str(tmp_path / "in.parquet"), tmp_path / "o.parquet", rows_per_piece=1)
    assert pl.read_parquet(tmp_path / "o.parquet").equals(want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ["user"]}, "--keep user: no such column; did you mean 'user_id'"),
        ({"keep": ["nosuch"]}, "--keep nosuch: no such column; there are .*; leave it out, or correct it"),
        ({"keep": ["click"]}, "--keep click: a column of scores has this name.*--prefix"),
        ({"keep": ["row", "row"]}, "--keep names a column twice"),
        ({"keep": ["tags"]}, "--keep tags: a CSV file holds no lists"),
        ({"out": "o.xlsx"}, "cannot write this ending; use one of .parquet"),
        ({"out": "-", "format": "parquet"}, "--format parquet: standard output is csv, tsv or jsonl"),
        ({"out": "nowhere/o.csv"}, "folder '.*nowhere' does not exist; make it first"),
        ({"history": "in.parquet"}, "the model was fitted without histories"),
    ],
)
def test_a_mistake_is_told_at_the_door(
    options: dict[str, object], message: str, model: Path, large: pl.DataFrame, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    large.head(20).write_parquet("in.parquet")
    with pytest.raises(AutomtlError, match=message):
        predict_table(model, "in.parquet", **{"out": "o.csv", **options})  # type: ignore[arg-type]
    assert not Path("o.csv").exists()


def test_a_row_that_cannot_be_read_is_named_with_its_file(model: Path, large: pl.DataFrame, tmp_path: Path) -> None:
    texts = large.drop("tags").with_columns(pl.col("price").cast(pl.String), tags=pl.lit("['t1']"))
    odd = texts.with_columns(pl.when(pl.col("row") == 6_500).then(pl.lit("many")).otherwise("price").alias("price"))
    odd.write_csv(tmp_path / "in.csv")
    with pytest.raises(EncodingError, match="in.csv', rows .*price"):
        predict_table(model, str(tmp_path / "in.csv"), tmp_path / "o.csv", rows_per_piece=1)


def test_texts_of_a_csv_file_are_kept_as_they_are_written(model: Path, large: pl.DataFrame, tmp_path: Path) -> None:
    codes = large.drop("tags").with_columns(
        code=pl.col("row").cast(pl.String).str.zfill(5), tags=pl.lit("['t1']"),
        mixed=pl.when(pl.col("row") < 6_900).then(pl.format("{}.50", "row")).otherwise(pl.lit("x")),
    )  # fmt: skip
    codes.write_csv(tmp_path / "in.csv")
    for name in ("o.csv", "o.parquet"):
        predict_table(
            model, str(tmp_path / "in.csv"), tmp_path / name, keep=["code", "mixed", "row"], rows_per_piece=1
        )  # fmt: skip
    assert pl.read_csv(tmp_path / "o.csv", infer_schema=False)["mixed"].equals(codes["mixed"])
    kept = pl.read_parquet(tmp_path / "o.parquet")
    assert kept.select("code", "mixed").equals(codes.select("code", "mixed"))
    assert kept["row"].equals(codes["row"].cast(pl.Int64))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_pipe_that_nobody_reads_any_more_is_an_error_that_ends_a_command_quietly(kind: Format) -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError), open(write, "wb", buffering=0) as file:  # noqa: SIM117
        with ExitStack() as stack:
            opened(file, kind, False, stack).write(pl.DataFrame({"click": [0.5] * 50_000}))


def test_formats_that_are_read_are_written() -> None:
    from automtl.tables.reading.paths import SUFFIXES

    assert set(SUFFIXES) <= set(WRITTEN)
    with pytest.raises(TableError):
        predict_table("nowhere", "in.csv", "o.json")
