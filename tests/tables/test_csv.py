"""CSV files are read as Python's and pandas' readers do, in blocks of any size."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automtl.errors import TableError
from automtl.tables.csv import open_csv
from automtl.tables.values.ids import ABSENT

HEADER = "x,y,z\n"
TOKENS = [
    *('"', '""', ",", ",", ",", "\n", "\n", "\n\n", "\r\n", "\r"), *("a", "b c", "1", "NA", "é"),
    *('"q,r"', '"s\nt"', '"u""v"', '27"', ",,"),
]  # fmt: skip


def texts(path: Path, size: int) -> list[tuple[str | None, ...]]:
    return [row for table, _ in open_csv(path).texts(size) for row in table.rows()]


def expected(body: str) -> list[tuple[str | None, ...]] | None:
    """What Python's reader finds; None where a quote stays open or a row is too long."""
    rows = list(csv.reader(io.StringIO(body + "\nend", newline="")))
    if rows[-1] != ["end"] or any(len(row) > 3 for row in rows):
        return None
    padded = (row + [""] * (3 - len(row)) for row in rows[:-1] if row)
    return [tuple(None if text in ABSENT else text for text in row) for row in padded]


@settings(max_examples=300, deadline=None)
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
