"""`automtl prepare` as a user meets it: stopped and continued, given wrong files, and what it reports."""

from __future__ import annotations

import filecmp
import json
import random
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from automtl.config import Settings, make_settings
from automtl.dataset.prepared import PreparedFolder
from automtl.errors import AutomtlError, FileError, SchemaError, SettingsError, StorageError, TableError
from automtl.experiment import ColumnRoles
from automtl.experiment.prepare import prepare_table
from automtl.features.encoder import Encoder
from automtl.predictor import Predictor
from automtl.system.files import locked
from automtl.tables.schema import Schema
from automtl.tables.split import split_table
from automtl.tables.table import read_table
from automtl.training.sampling import sample_negatives
from tests.conftest import TINY
from tests.dataset.builder.tables import make_schema, make_table, write_parts
from tests.storage import memory, put
from tests.test_cli import call

KILLS = 10
CHANGE: dict[str, object] = {"encoder": {"min_count": 1}}


def source(folder: Path, ending: str = ".parquet", parts: int = 3) -> Path:
    write_parts(make_table(0, 90), folder / "parts", parts, ending)
    return folder / "parts"


def prepared(parts: Path, out: Path, **given: object) -> PreparedFolder:
    given = {"schema": make_schema(time=False, weight=True, split=True), "chunk_rows": 11} | given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prepare_table(str(parts), out=out, **given)  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def same_files(one: Path, other: Path) -> bool:
    names = files(one)
    return names == files(other) and not filecmp.cmpfiles(one, other, names, shallow=False)[1:][0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The parts, and the folder of an undisturbed preparation."""
    folder = tmp_path_factory.mktemp("whole")
    parts = source(folder)
    prepared(parts, folder / "out", schema=make_schema(time=True, weight=True, split=True))
    return parts, folder / "out"


def test_killed_as_it_removes_its_working_folder_it_goes_on(
    whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parts, expected), out, remove = whole, tmp_path / "out", shutil.rmtree
    schema = make_schema(time=True, weight=True, split=True)

    def killed(folder: Path, **given: object) -> None:
        if ".out.prepare" not in Path(folder).name:
            remove(folder, **given)  # type: ignore[arg-type]
            return
        remove(Path(folder) / "part")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(parts, out, schema=schema)
    prepared(parts, out, schema=schema, overwrite=True)
    assert same_files(out, expected)


def test_killed_at_random_moments_it_goes_on_and_gives_the_same_bytes(whole: tuple[Path, Path], tmp_path: Path) -> None:
    parts, expected = whole
    out, random_moments, kills = tmp_path / "out", random.Random(0), 0
    schema = tmp_path / "schema.yaml"
    schema.write_text(make_schema(time=True, weight=True, split=True).text(), encoding="utf-8")
    command = f"""
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
from automtl.tables.schema import Schema
from automtl.experiment.prepare import prepare_table
for after in map(float, sys.stdin):
    child = os.fork()  # what was imported need not be imported again
    if child == 0:
        if after:
            threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        prepare_table({str(parts)!r}, out={str(out)!r}, schema=Schema.read({str(schema)!r}), chunk_rows=11)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdin is not None and starter.stdout is not None
    while kills < KILLS or not out.exists():
        if out.exists():
            assert same_files(out, expected)
            shutil.rmtree(out)
            shutil.rmtree(tmp_path / ".out.prepare", ignore_errors=True)  # killed after the folder had its name
        after = random_moments.uniform(0.02, 0.8) if kills < KILLS else 0
        starter.stdin.write(f"{after}\n")
        starter.stdin.flush()
        code = int(starter.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    starter.communicate()
    assert same_files(out, expected)


def test_an_undisturbed_run_leaves_nothing_beside_the_folder(tmp_path: Path) -> None:
    parts = source(tmp_path)
    prepared(parts, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "parts"]


@pytest.mark.parametrize("ending", [".csv", ".arrow"])
def test_other_files_and_chunks_give_the_same_rows(tmp_path: Path, ending: str) -> None:
    """But for times, which a CSV file holds as text."""
    schema = make_schema(time=False, weight=False, split=True)
    first = prepared(source(tmp_path), tmp_path / "one", schema=schema, chunk_rows=1000)
    (tmp_path / "parts").rename(tmp_path / "first")
    second = prepared(source(tmp_path, ending, 4), tmp_path / "two", schema=schema, chunk_rows=17)
    for part in ("train", "valid", "test"):
        assert first.stores[part].arrays == second.stores[part].arrays


def test_what_was_drawn_of_the_negatives_is_what_a_table_in_memory_gives(tmp_path: Path) -> None:
    schema = make_schema(time=False, weight=False, split=True)
    values = schema.to_dict() | {"negative_share": 0.5}
    values["tasks"][0]["negative_share"] = 0.6
    schema = Schema.from_dict(values)
    parts = source(tmp_path)
    made = prepared(parts, tmp_path / "out", schema=schema)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split = split_table(read_table(parts), schema, Settings().split, 0)
        _, train = Encoder.fit(split.train, schema, Settings().encoder, 0)
    kept = sample_negatives(train, schema.tasks, schema.negative_share, 0)
    found = made.rows("train")
    assert 0 < kept.mask.sum() < train.mask.sum()
    for name in ("labels", "mask", "weight", "group"):
        np.testing.assert_array_equal(getattr(found, name).numpy(), getattr(kept, name).numpy())
    np.testing.assert_array_equal(found.features.categorical.numpy(), kept.features.categorical.numpy())


def test_the_report_tells_what_polars_counts(tmp_path: Path) -> None:
    table = make_table(0, 90)
    made = prepared(source(tmp_path), tmp_path / "out", settings=make_settings(CHANGE))
    rows, columns = made.report["rows"], made.report["columns"]
    named = {"train": "train", "valid": "val", "test": "test"}
    frames = {part: table.filter(pl.col("part") == name) for part, name in named.items()}
    assert rows == {"read": 90} | {part: frame.height for part, frame in frames.items()}
    known = set(frames["train"]["user"].drop_nulls())
    for part, frame in frames.items():
        user = frame["user"].drop_nulls()
        assert columns["user"]["missing"][part] == frame["user"].null_count()
        assert columns["user"]["present"][part] == user.len()
        assert columns["user"]["unseen"][part] == (~user.is_in(list(known))).sum()
        assert columns["price"]["missing"][part] == frame["price"].null_count()
        given = frame.filter(frame["click"] == 1)["buy"].drop_nulls()
        assert made.report["tasks"]["buy"][part] == {"labels": given.len(), "mean": pytest.approx(given.mean())}
    assert columns["user"]["values"] == columns["user"]["known"] == len(known)
    assert columns["price"]["least"] == frames["train"]["price"].min()
    assert columns["price"]["most"] == frames["train"]["price"].max()


def test_vocabularies_that_do_not_fit_are_cut_or_hashed_with_a_word(tmp_path: Path) -> None:
    parts = source(tmp_path)
    schema = make_schema(time=False, weight=False, split=True)
    for hashed in (0, 2):
        settings = make_settings({"encoder": {"min_count": 1, "hashed_ids": hashed}})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made = prepare_table(
                str(parts), out=tmp_path / f"out-{hashed}", schema=schema, settings=settings, memory_bytes=4 * 64 * 60
            )
        rest = "hashed into 2 ids" if hashed else "unknown"
        messages = " ".join(str(one.message) for one in told if "'user'" in str(one.message))
        assert "most frequent have an id of their own (memory)" in messages and rest in messages
        about = made.report["columns"]["user"]
        assert about["known"] < about["values"]
        assert about.get("hashed", 0) == hashed
        ids = made.rows("train").features.categorical[:, 0]
        assert bool((ids == 1).any()) == (hashed == 0)


def broken(parts: Path, kind: str) -> None:
    last = parts / "part-02.parquet"
    table = pl.read_parquet(last)
    if kind == "label":
        table = table.with_columns(click=pl.Series([0] * 5 + [7] + [1] * (table.height - 6)))
    elif kind == "column":
        table = table.drop("price")
    elif kind == "type":
        table = table.with_columns(user=pl.lit([1], dtype=pl.List(pl.Int32)))
    elif kind == "weight":
        table = table.with_columns(w=pl.lit(None, dtype=pl.Float64))
    elif kind == "split":
        table = table.with_columns(part=pl.lit("later"))
    elif kind == "text":
        table = table.with_columns(click=pl.Series(["yes"] * 5 + ["maybe"] * (table.height - 5)))
    elif kind == "date":
        table = table.with_columns(click=pl.date(2024, 1, 1))
    table.write_parquet(last)
    if kind == "empty":
        last.write_bytes(b"")
    elif kind == "cut":
        last.write_bytes(last.read_bytes()[:-7] if last.stat().st_size else b"")


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("label", SchemaError, r"part-02.parquet', row 6: task 'click': labels must be 0 and 1, found 7"),
        ("column", TableError, "differ in column 'price'"),
        ("type", TableError, r"column 'user' is List\(Int32\) in .*part-02.parquet' and Int64 in .*part-00"),
        ("weight", AutomtlError, "part-02.parquet', row 1: weight 'w': expected 0 or more, found None"),
        ("split", SchemaError, "part-02.parquet', rows 1 to 11: split column 'part': unknown value 'later'"),
        ("text", SchemaError, "part-02.parquet', row 6: task 'click': values must be numbers, .*found 'maybe'"),
        ("date", TableError, "column 'click' is Date in .*part-02.parquet' and Int64 in .*part-00"),
        ("empty", TableError, "part-02.parquet' is empty"),
        ("cut", TableError, "part-02.parquet' cannot be read"),
    ],
)
def test_a_broken_part_is_named_and_no_folder_appears(
    tmp_path: Path, kind: str, error: type[AutomtlError], message: str
) -> None:
    parts = source(tmp_path)
    broken(parts, kind)
    with pytest.raises(error, match=message):
        prepared(parts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wrong_label_among_the_rows_that_a_schema_is_inferred_from_is_told_by_its_file_and_row(
    tmp_path: Path,
) -> None:
    parts = source(tmp_path)
    broken(parts, "label")
    with pytest.raises(SchemaError, match="part-02.parquet', row 6: task 'click': .*found 7; correct the row"):
        prepare_table(str(parts), ["click"], out=tmp_path / "out", roles=ColumnRoles(split="part"))


def test_parts_without_rows_are_left_out(tmp_path: Path) -> None:
    parts = source(tmp_path)
    pl.read_parquet(parts / "part-00.parquet").head(0).write_parquet(parts / "part-03.parquet")
    assert prepared(parts, tmp_path / "out").report["empty_files"] == ["part-03.parquet"]


@pytest.mark.parametrize("dtype", [pl.Null, pl.String, pl.Float64])
def test_a_part_without_labels_is_read(tmp_path: Path, dtype: type[pl.DataType]) -> None:
    parts = source(tmp_path)
    last = parts / "part-02.parquet"
    table = pl.read_parquet(last)
    table.with_columns(buy=pl.Series([None] * table.height, dtype=dtype)).write_parquet(last)
    made, whole = prepared(parts, tmp_path / "out"), read_table(str(parts))
    labels = sum(made.report["tasks"]["buy"][part]["labels"] for part in ("train", "valid", "test"))
    assert labels == whole.filter(whole["click"] == 1)["buy"].drop_nulls().len() > 0


def test_another_job_does_not_go_on_from_an_unfinished_one(tmp_path: Path) -> None:
    parts = source(tmp_path)
    broken(parts, "label")
    with pytest.raises(SchemaError):
        prepared(parts, tmp_path / "out")
    with pytest.raises(FileError, match="differs in its seed.*--overwrite"):
        prepared(parts, tmp_path / "out", seed=1)
    with pytest.raises(SchemaError):  # the same job, which goes on to the same row
        prepared(parts, tmp_path / "out")
    write_parts(make_table(1, 90), tmp_path / "other", 3, ".parquet")
    prepared(tmp_path / "other", tmp_path / "out", overwrite=True)
    with pytest.raises(FileError, match="exists.*--overwrite"):
        prepared(parts, tmp_path / "out")


def test_a_folder_that_is_no_prepared_table_is_never_replaced(tmp_path: Path) -> None:
    parts = source(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(FileError, match="no prepared table"):
        prepared(parts, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "letter.txt").read_text(encoding="utf-8") == "dear"


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    parts = source(tmp_path)
    with locked(tmp_path / ".out.prepare"), pytest.raises(FileError, match="another process works in .*out.prepare"):
        prepared(parts, tmp_path / "out")


def test_a_full_disk_is_told_and_the_run_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for real: a limit of the size of files."""
    import resource

    parts = source(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))
        with pytest.raises(FileError, match="goes on where it stopped|cannot be written"):
            prepared(parts, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    prepared(parts, tmp_path / "out")


def test_a_schema_is_inferred_where_none_is_given(tmp_path: Path) -> None:
    parts = source(tmp_path)
    roles = ColumnRoles(("w", "when", "tags", "seen", "buy", "amount", "size", "at", "wide"), split="part")
    made = prepare_table(str(parts), ["click"], out=tmp_path / "out", roles=roles)
    assert {field.name for field in made.schema.fields} == {"user", "item", "share", "flag", "price"}


def test_what_the_checks_find_is_told_before_rows_are_encoded_and_again_by_those_who_read_the_folder(
    log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out, settings = tmp_path / "log.parquet", tmp_path / "out", tmp_path / "tiny.yaml"
    log.with_columns(leak=pl.col("click") * 2 + pl.col("hour") / 24, empty=pl.lit(1)).write_parquet(table)
    settings.write_text(yaml.safe_dump(TINY | {"model": "shared-bottom", "presets": []}), encoding="utf-8")
    given = [table, "--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart"]
    assert call("check", *given, "--out", tmp_path / "table.json") == 0
    assert call("prepare", *given, "--out", out) == 0
    assert "warning: 'leak' alone" in capsys.readouterr().err
    assert call("fit", out, "--config", settings, "--out", tmp_path / "run") == 0
    assert "warning: 'leak' alone" in capsys.readouterr().err
    assert call("check", out, "--out", tmp_path / "folder.json") == 0
    found = json.loads((tmp_path / "folder.json").read_text(encoding="utf-8"))
    assert {one["column"] for one in found} >= {"leak", "empty"}
    assert found == json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert call("check", out, "--task", "buy", "--out", tmp_path / "buy.json") == 0
    assert {one["task"] for one in json.loads((tmp_path / "buy.json").read_text(encoding="utf-8"))} <= {"buy", None}


def test_a_sample_without_rows_of_a_part_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automtl.experiment.prepare.SAMPLE_ROWS", 3)
    assert "findings" not in prepared(source(tmp_path), tmp_path / "out").report


def test_a_split_by_time_without_a_time_column_is_told_before_any_row_is_read(tmp_path: Path) -> None:
    parts = source(tmp_path)
    settings = make_settings({"split": {"method": "time"}})
    with pytest.raises(SchemaError, match="needs a time column"):
        prepared(parts, tmp_path / "out", schema=make_schema(time=False, weight=False, split=False), settings=settings)
    assert not list(tmp_path.glob(".out*"))


def test_the_command_prepares_a_folder_that_fit_takes(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, out = tmp_path / "tiny.yaml", tmp_path / "out"
    settings.write_text(yaml.safe_dump(TINY | {"model": "shared-bottom", "presets": []}), encoding="utf-8")
    given = ("--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart")
    assert call("prepare", log_file, *given, "--memory", "1", "--out", out) == 0
    told = capsys.readouterr().out
    assert "1,500 rows of 1 file: 1,050 to train, 150 to validate, 300 to test" in told
    assert "columns left out: like, cart" in told
    assert "task click: mean label" in told
    assert call("prepare", log_file, *given, "--out", out) == 2
    assert call("prepare", log_file, *given, "--out", out, "--overwrite") == 0
    assert call("fit", out, "--config", settings, "--out", tmp_path / "run") == 0


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    parts, schema = source(tmp_path), tmp_path / "schema.yaml"
    schema.write_text(make_schema(time=False, weight=False, split=True).text(), encoding="utf-8")
    command = """
import os, pathlib, signal, sys, threading, time
from automtl.cli import main
import automtl.experiment.prepare
sys.argv = ["automtl", *sys.argv[1:]]
def stop():
    while not any(pathlib.Path(sys.argv[-1]).parent.glob(".out.prepare/chunks/*/about.json")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop, daemon=True).start()
main()
"""
    given = ["prepare", str(parts), "--schema", str(schema), "--chunk-rows", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", command, *given], check=False, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "the same command goes on from there" in done.stderr
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.glob(".out.prepare/chunks/*"))) > 0


def test_a_folder_of_columns_without_a_value_is_fitted_with_the_schema_that_it_was_made_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make_table(0, 300).with_columns(price=pl.lit(None, dtype=pl.Float64))
    write_parts(rows, tmp_path / "parts", 2, ".parquet")
    (tmp_path / "s.yaml").write_text(make_schema(time=False, weight=True, split=True).text())
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(TINY | {"model": "shared-bottom", "presets": []}))
    out, schema = tmp_path / "out", ["--schema", tmp_path / "s.yaml"]
    with pytest.warns(UserWarning, match="left out, without a value in the training rows: 'price'"):
        assert call("prepare", tmp_path / "parts", *schema, "--out", out) == 0
    assert "columns without a value in the training rows left out: price" in capsys.readouterr().out
    assert "price" not in PreparedFolder.open(out).schema.columns
    assert call("fit", out, *schema, "--config", tmp_path / "c.yaml", "--out", tmp_path / "run") == 0
    assert Predictor.load(tmp_path / "run").predict(rows.drop("price")).height == 300


def test_tables_and_folders_by_address_are_those_of_a_disk(
    whole: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOMTL_CACHE", str(tmp_path / "kept"))
    schema = make_schema(time=True, weight=True, split=True)
    with memory():
        parts, there = Path(put(whole[0], "memory://bucket/parts")), "memory://bucket/out"
        given = f"memory://bucket/{parts.name}"
        local = prepared(whole[0], tmp_path / "local", schema=schema, chunk_rows=100)
        made = prepared(given, tmp_path / "out", schema=schema, chunk_rows=100)  # type: ignore[arg-type]
        assert same_files(made.folder, local.folder) and not list(tmp_path.glob(".out*"))
        stored = prepared(given, there, schema=schema, chunk_rows=100)  # type: ignore[arg-type]
        assert same_files(stored.folder, local.folder) and stored.place == there
        with pytest.raises(StorageError, match="'memory://bucket/out' exists and is not empty"):
            prepared(given, there, schema=schema, chunk_rows=100)  # type: ignore[arg-type]
        again = prepared(given, there, schema=schema, overwrite=True, chunk_rows=100)  # type: ignore[arg-type]
        assert again.digest == stored.digest
        with pytest.raises(SettingsError, match="--address 'auto': its nodes have to see --out; give a folder"):
            prepared(given, there, schema=schema, address="auto")  # type: ignore[arg-type]
