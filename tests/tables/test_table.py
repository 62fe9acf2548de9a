"""Reading tables, inferring schemas, splitting."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from automtl.errors import SchemaError, SettingsError, TableError
from automtl.tables.infer import infer_schema, infer_task
from automtl.tables.reading.files import Place, TableFiles
from automtl.tables.schema import FieldKind, Schema, TaskKind
from automtl.tables.split import SplitSettings, split_table
from automtl.tables.table import read_table, write_table

TABLE = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.arrow"])
def test_formats_round_trip(tmp_path: Path, name: str) -> None:
    write_table(TABLE, tmp_path / name)
    assert read_table(tmp_path / name).equals(TABLE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_globs_folders_and_frames(tmp_path: Path) -> None:
    import gzip

    TABLE.write_parquet(tmp_path / "1.parquet")
    with gzip.open(tmp_path / "2.csv.gz", "wt") as file:
        file.write("b,a\nx,1\ny,2\n")
    assert read_table(tmp_path).height == 4
    assert read_table(str(tmp_path / "*.parquet")).equals(TABLE)
    assert read_table(TABLE.lazy()).equals(TABLE)
    assert read_table(TABLE.to_arrow()).equals(TABLE)
    assert read_table(TABLE.to_pandas()).equals(TABLE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("head.csv", b"a,b\n", "no rows"),
        ("twice.csv", b"a,b,a\n1,2,3\n", "column 'a' twice"),
        ("bad.parquet", b"not parquet", "cannot be read"),
        ("notes.docx", b"x", "unknown ending"),
        ("long.csv", b"a,b\n1,2\n1,2,3\n", "row 2: has 3 fields, the header has 2; .*in quotes"),
        ("latin.csv", "a,b\n1,\xe9\n".encode("latin-1"), "save it as UTF-8"),
        ("header.csv", "a,\xe9\n1,2\n".encode("latin-1"), "save it as UTF-8"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=message) as error:
        read_table(tmp_path / name)
    assert name in str(error.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_line_ends_quotes_and_marks_of_missing_values_are_read(
    tmp_path: Path, separator: str, end: str
) -> None:
    lines = ['a|"b;,"|c', 'x|1|"p,q;r"', "NA|2|?", "\\N||None"]
    text = end.join(lines).replace("|", separator) + end
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    expected = pl.DataFrame({"a": ["x", None, None], "b;,": [1, 2, None], "c": ["p,q;r", None, None]})
    assert read_table(tmp_path / "t.csv").equals(expected)
    source = TableFiles.open(str(tmp_path / "t.csv"))
    assert source.joined(list(source.pieces(["a", "b;,", "c"], 1, Place()))).equals(expected)


def test_hidden_files_are_no_parts_and_folders_of_folders_get_a_hint(tmp_path: Path) -> None:
    (tmp_path / "day1").mkdir()
    TABLE.write_parquet(tmp_path / "day1" / "part.parquet")
    for name in (".part.csv", "_part.csv"):
        (tmp_path / "day1" / name).write_text("unfinished")
    assert read_table(tmp_path / "day1").equals(TABLE)
    with pytest.raises(TableError, match=r"for those in its folders give '.*/\*/\*\.parquet'"):
        read_table(tmp_path)


def test_parts_with_other_columns_are_refused(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "1.csv")
    TABLE.rename({"b": "c"}).write_csv(tmp_path / "2.csv")
    with pytest.raises(TableError, match=r"differ in column 'b'"):
        read_table(tmp_path)


def test_kinds_are_inferred(log: pl.DataFrame) -> None:
    table = log.with_columns(
        words=pl.col("tags").list.join("|"), amount=pl.col("price").cast(pl.String), constant=pl.lit(1)
    )
    schema = infer_schema(table, ["click"], drop=["like", "buy", "cart"])
    kinds = {field.name: field.kind for field in schema.fields}
    assert kinds["user_id"] is FieldKind.CATEGORICAL
    assert kinds["price"] is FieldKind.NUMERIC
    assert kinds["tags"] is FieldKind.MULTI
    assert "constant" not in kinds
    assert ("user_id",) in schema.target_encoding


def test_schema_files_round_trip(log: pl.DataFrame, tmp_path: Path) -> None:
    schema = infer_schema(log, ["click", "like"])
    (tmp_path / "s.yaml").write_text(schema.text())
    assert Schema.read(tmp_path / "s.yaml") == schema


def test_an_unknown_entry_in_a_schema_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("fields: [{name: a, kind: numerical}]\ntasks: [{name: y}]\n")
    with pytest.raises(SchemaError, match=r"fields.0.kind"):
        Schema.read(tmp_path / "s.yaml")


def test_labels_decide_the_kind_of_task() -> None:
    assert infer_task(pl.DataFrame({"y": [True, False, None]}), "y").kind is TaskKind.BINARY
    assert infer_task(pl.DataFrame({"y": [i / 7 for i in range(30)]}), "y").kind is TaskKind.REGRESSION
    with pytest.raises(SchemaError, match="'y'.*found 2"):
        infer_task(pl.DataFrame({"y": [0, 1, 2]}), "y")


@pytest.mark.parametrize("method", ["random", "time", "user"])
def test_splits_cover_all_rows_once(log: pl.DataFrame, method: str) -> None:
    table = log.with_row_index("t")
    schema = infer_schema(table, ["click"], time="t", group="user_id")
    parts = split_table(table, schema, SplitSettings(method=method), 0)  # type: ignore[arg-type]
    rows = pl.concat([parts.train, parts.valid, parts.test])["t"]
    assert sorted(rows.to_list()) == list(range(log.height))
    if method == "time":
        assert parts.train["t"].max() < parts.valid["t"].min() <= parts.valid["t"].max() < parts.test["t"].min()
    if method == "user":
        assert not set(parts.train["user_id"]) & set(parts.test["user_id"])


def test_a_split_column_without_validation_takes_a_fifth_of_training(log: pl.DataFrame) -> None:
    table = log.with_columns(
        part=pl.when(pl.int_range(pl.len()) < 1000).then(pl.lit("train")).otherwise(pl.lit("test"))
    )
    parts = split_table(table, infer_schema(table, ["click"], split="part"), SplitSettings(), 0)
    assert (parts.train.height, parts.valid.height, parts.test.height) == (800, 200, 500)


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(SettingsError, match=r"split.shares"):
        SplitSettings(shares=(0.5, 0.1, 0.1))
