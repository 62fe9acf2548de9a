"""Tables fit on the terminal, whatever their number of columns."""

from __future__ import annotations

import sys

import pytest

from automtl.cli.show import columns_that_fit, show_table

HEADER = ["model", *(f"share of task {place}" for place in range(6))]
ROWS = [["a model of a name that is quite long for a name", *["0.7123"] * 6], ["mmoe", *["12 s"] * 6]]


def test_columns_that_do_not_fit_stand_below_one_another() -> None:
    assert columns_that_fit(HEADER, ROWS, 200) == [[0, 1, 2, 3, 4, 5, 6]]
    assert columns_that_fit(HEADER, ROWS, 80) == [[0, 1, 2], [0, 3, 4], [0, 5, 6]]
    assert columns_that_fit(HEADER, ROWS, 10) == [[0, place] for place in range(1, 7)]
    assert columns_that_fit(["name"], [["mmoe"]], 80) == [[0]]


def test_a_part_of_a_table_has_all_its_words_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    show_table("shares", HEADER, ROWS)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert all(name in text for name in HEADER[1:]) and text.count("mmoe") == 3 and text.count("shares") == 1
