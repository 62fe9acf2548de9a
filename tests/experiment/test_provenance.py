"""A result says of what and by what it was made."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from automtl._version import __version__
from automtl.config import Settings
from automtl.experiment.provenance import describe_making, describe_table
from automtl.experiment.source import open_source
from automtl.report.text import made_lines
from automtl.tables.columns import ColumnRoles


def test_a_table_is_named_with_its_rows_and_digest(log: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    log.write_parquet(path)
    found = []
    for source in (path, log):
        rows, _ = open_source(source, ["click"], ColumnRoles(drop=("cart",)), None, Settings(), 0, identify=True)
        found.append(describe_table(source, rows))
    assert found[0]["path"] == str(path) and found[1]["path"] is None
    assert found[0]["rows"] == found[1]["rows"] == log.height
    assert found[0]["digest"] and found[0]["columns"] == log.width and found[0]["dropped"] == ["cart"]


def test_a_command_is_named_but_no_program_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/automtl", "fit", "my log.csv"])
    made = describe_making()
    assert made["command"] == "automtl fit 'my log.csv'" and made["automtl"] == __version__
    monkeypatch.setattr(sys, "argv", ["automtl", "fit", "https://me:word@host/a.csv?signature=1"])
    assert describe_making()["command"] == "automtl fit https://host/a.csv"
    monkeypatch.setattr(sys, "argv", ["/home/me/secret.py", "key"])
    assert describe_making()["command"] is None


def test_the_report_says_so() -> None:
    made = {
        "date": "2026-01-02 03:04 UTC", "command": "automtl fit a.csv", "automtl": "0.1.0", "torch": "2.13.0",
        "python": "3.11.7", "machine": "Linux x86_64, 2 cores", "threads": 1,
    }  # fmt: skip
    table = {
        "path": "/data/a.csv", "rows": 12345, "digest": "0123456789abcdef", "columns": 7, "dropped": ["dwell_ms", "x"],
    }  # fmt: skip
    lines = made_lines(table, made)
    assert lines == [
        "Table: a.csv, 12,345 rows, 7 columns, digest 0123456789ab.",
        "Path: /data/a.csv",
        "Dropped columns: dwell_ms, x.",
        "Made on 2026-01-02 03:04 UTC by automtl 0.1.0 (torch 2.13.0, Python 3.11.7) on Linux x86_64, 2 cores, "
        "1 thread.",
        "Command: automtl fit a.csv",
    ]
    assert made_lines({}, made | {"workers": [1]})[0].endswith("2 cores, 1 thread.")
    assert made_lines({}, made | {"workers": [4]})[0].endswith(", 1 thread, by 4 workers.")
    said = ", by 4, then 1 workers; equal to any one number of workers up to rounding."
    assert made_lines({}, made | {"workers": [4, 1]})[0].endswith(said)
    assert made_lines({"name": "data frame", "rows": {"train": 5, "test": 2}}, {})[0] == "Table: data frame, 7 rows."
    assert made_lines({}, {}) == []
