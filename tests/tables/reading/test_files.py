"""A sample of a table that is too large to be read at once."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from automtl.tables.reading.files import STRETCHES, Place, TableFiles
from automtl.tables.table import write_table
from tests.dataset.builder.tables import write_parts

TABLE = pl.DataFrame({"row": range(1000)})


@pytest.mark.parametrize(("parts", "ending"), [(1, ".parquet"), (3, ".arrow"), (30, ".parquet")])
def test_a_sample_is_spread_over_the_rows_from_the_first_to_the_last(tmp_path: Path, parts: int, ending: str) -> None:
    write_parts(TABLE, tmp_path / "parts", parts, ending)
    found = TableFiles.open(str(tmp_path / "parts")).sample(200)
    rows = pl.concat(piece.table for piece in found)["row"]
    assert rows.is_unique().all() and 180 <= rows.len() <= 200
    assert rows[0] == 0 and rows[-1] >= 1000 - 1000 // parts
    assert rows.diff().max() <= 2 * 1000 // STRETCHES  # type: ignore[operator]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_sample_of_few_rows_is_the_table_whatever_parts_are_empty(tmp_path: Path, ending: str) -> None:
    write_parts(TABLE, tmp_path / "parts", 4, ending)
    write_table(TABLE.head(0), tmp_path / "parts" / f"part-00a{ending}")
    found = TableFiles.open(str(tmp_path / "parts")).sample(4000)
    assert pl.concat(piece.table for piece in found).equals(TABLE)


def test_pieces_are_whole_row_groups_where_these_fit(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    TABLE.write_parquet(path, row_group_size=300)
    source = TableFiles.open(str(path))
    for rows, sizes in ((700, [600, 400]), (300, [300, 300, 300, 100]), (200, [200, 100, 200, 100, 200, 200])):
        pieces = list(source.pieces(["row"], rows, Place()))
        assert [piece.table.height for piece in pieces] == sizes
        assert pl.concat(piece.table for piece in pieces).equals(TABLE)
        again = list(source.pieces(["row"], rows, pieces[0].then))
        assert pl.concat(piece.table for piece in again).equals(TABLE.slice(sizes[0]))


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_whole_numbers_of_128_bits_and_categories_are_read_piece_by_piece(ending: str, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"large": pl.Series([1, 2**70], dtype=pl.Int128), "text": pl.Series(["x", "y"], dtype=pl.Categorical)}
    )
    path = tmp_path / f"table.{ending}"
    write_table(table, path)
    pieces = TableFiles.open(str(path)).pieces(["large", "text"], 1, Place())
    assert [piece.table.rows() for piece in pieces] == [[(1, "x")], [(2**70, "y")]]
