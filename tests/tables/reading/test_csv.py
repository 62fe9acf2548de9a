"""CSV files are read as Python's and pandas' readers do, in blocks of any size."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automtl.errors import TableError
from automtl.tables.reading.csv import open_csv
from automtl.tables.reading.files import Place, TableFiles
from automtl.tables.reading.table_file import LocalFile
from automtl.tables.table import read_table
from automtl.tables.values.ids import ABSENT

HEADER = "x,y,z\n"
TOKENS = [
    *('"', '""', ",", ",", ",", "\n", "\n", "\n\n", "\r\n", "\r"), *("a", "b c", "1", "NA", "é"),
    *('"q,r"', '"s\nt"', '"u""v"', '27"', ",,"),
]  # fmt: skip


def texts(path: Path, size: int) -> list[tuple[str | None, ...]]:
    return [row for table, _ in open_csv(LocalFile(path)).texts(size) for row in table.rows()]


def expected(body: str) -> list[tuple[str | None, ...]] | None:
    """Read records by Python's csv module; return None where a quote stays open or a row is too long."""
    rows = list(csv.reader(io.StringIO(body + "\nend", newline="")))
    if rows[-1] != ["end"] or any(len(row) > 3 for row in rows):
        return None
    padded = (row + [""] * (3 - len(row)) for row in rows[:-1] if row)
    return [tuple(None if text in ABSENT else text for text in row) for row in padded]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join), st.booleans(), st.booleans())
@example('a,27" wide,b\n"c",d,e', False, False)
@example('a,"b"c,d\ne,f,g\n', True, True)
@example("a\r\n\r\n,,\r\nb", True, False)
def test_any_bytes_are_read_as_pythons_reader_does_whatever_the_size_of_a_block(
    body: str, mark: bool, gz: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("t.csv.gz" if gz else "t.csv")
        content = (b"\xef\xbb\xbf" if mark else b"") + (HEADER + body).encode()
        path.write_bytes(gzip.compress(content, 1) if gz else content)
        for size in (1, 3, 10, 10_000):
            if (rows := expected(body)) is not None:
                assert texts(path, size) == rows
            else:
                with pytest.raises(TableError, match=r"t\.csv(\.gz)?', row \d+: has"):
                    texts(path, size)


def read(folder: Path, content: str, name: str = "t.csv") -> pl.DataFrame:
    (folder / name).write_bytes(content.encode())
    return read_table(folder / name)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_rows_wherever_they_stand(tmp_path: Path, end: str) -> None:
    lines = ["", " \t", "a,b", "", "1,x", "  ", ",", "2", "", "3,' '", ""]
    expected = pl.DataFrame({"a": [1, None, 2, 3], "b": ["x", None, None, "' '"]})
    assert read(tmp_path, end.join(lines)).equals(expected)
    source = TableFiles.open(str(tmp_path / "t.csv"))
    pieces = list(source.pieces(["a", "b"], 1, Place()))
    assert [piece.place.row for piece in pieces][:3] in ([0, 1, 2], [0, 1, 3])
    for piece in pieces[:-1]:
        rest = list(source.pieces(["a", "b"], 2, piece.then))
        assert source.joined(rest).rows() == expected[piece.then.row :].rows()


def test_what_pandas_reads_is_read(tmp_path: Path) -> None:
    """A type that changes late, an inch sign, ids of 41 digits, a long field, lines that end in CR alone."""
    late = "\n".join(["n,m", *("1,1.5" for _ in range(120_000)), "guest,1e5"])
    assert read(tmp_path, late).tail(1).rows() == [("guest", "1e5")]
    assert read(tmp_path, 'id,title\n1,27" monitor\n2,"a ""b"", c"\n')["title"].to_list() == ['27" monitor', 'a "b", c']
    assert read(tmp_path, f"id,n\n{'9' * 41},1\n")["id"].to_list() == ["9" * 41]
    assert read(tmp_path, f'a,b\n{"x" * 200_000},"y"z\n')["a"].str.len_chars().to_list() == [200_000]
    assert read(tmp_path, "a,b\r1,2\r3,4\r").rows() == [(1, 2), (3, 4)]
    assert read(tmp_path, "a\tb,c\n1\t2,5\n", "t.tsv").rows() == [(1, "2,5")]


@pytest.mark.parametrize("size", [1, 30, 1 << 20])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,2\n\n3,4\n5,6,7\n8,9\n", "row 3: has 3 fields, the header has 2; put text that holds"),
        ('1,2\n\n3,4\n5,"6\n7,8\n', "row 3: has a quote that opens a field and is never closed; close it"),
        ("1,2\n\n3,4\n5,\udce9\n", "row 3: is no UTF-8 text; save it as UTF-8"),
    ],
)
def test_rows_that_cannot_be_read_are_named(tmp_path: Path, size: int, body: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(("a,b\n" + body).encode(errors="surrogateescape"))
    with pytest.raises(TableError, match=rf"t\.csv', {message}"):
        list(open_csv(LocalFile(path)).texts(size))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["1", "2.50", "9007199254740993", "x", "true", "", "NA", "007"]), min_size=1, max_size=8)
)
def test_types_do_not_depend_on_the_size_of_a_block(values: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "t.csv"
        path.write_text("\n".join(["a,b", *(f"{value},1" for value in values)]), encoding="utf-8")
        whole = open_csv(LocalFile(path)).read()
        patch.setattr("automtl.tables.reading.csv.BLOCK_BYTES", 1)
        found = open_csv(LocalFile(path)).read()
        assert found.equals(whole) and found.schema == whole.schema


def test_reading_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    code = f"import sys, automtl; automtl.read_table({str(tmp_path / 't.csv')!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_headers_are_checked(tmp_path: Path) -> None:
    for header, message in (('a,"b\nc"', r"column 'b\\nc', whose name holds a control"), ("a,b,a", "column 'a' twice")):
        with pytest.raises(TableError, match=message):
            read(tmp_path, header + "\n1,2\n")
    with pytest.raises(TableError, match="has no rows"):
        read(tmp_path, "\n\n  \n")
