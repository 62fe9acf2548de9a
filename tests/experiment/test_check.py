"""The data checks as a user meets them: `automtl check`, and the lines that fit prints."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.conftest import TINY
from tests.test_cli import call


@pytest.fixture
def leaky_file(log: pl.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "leaky.parquet"
    log.with_columns(dwell=pl.col("click") * pl.col("price"), nothing=0).write_parquet(path)
    return path


def test_check_shows_the_column_and_writes_it(
    leaky_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    assert call("check", leaky_file, "--task", "click", "--task", "buy", "--out", out) == 0
    assert "dwell" in capsys.readouterr().out
    found = {(finding["column"], finding["level"]) for finding in json.loads(out.read_text())}
    assert {("dwell", "warning"), ("nothing", "note")} <= found
    assert call("check", leaky_file, "--task", "click", "--task", "buy", "--drop", "dwell", "--out", out) == 0
    assert not [finding for finding in json.loads(out.read_text()) if finding["column"] == "dwell"]


@pytest.mark.parametrize("wrong", [[], ["--task", "clik"], ["--task", "click", "--out", "absent/found.json"]])
def test_a_mistake_is_one_line_and_exit_2(
    leaky_file: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("check", leaky_file, *wrong) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_fit_warns_and_goes_on(leaky_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "model": "single-task", "presets": []}))
    options = ["--task", "click", "--drop", "nothing", "--config", tmp_path / "tiny.yaml", "--out", tmp_path / "run"]
    assert call("fit", leaky_file, *options) == 0
    assert "warning: 'dwell'" in capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    found = {finding["column"] for finding in metrics["findings"]}
    assert "dwell" in found and "nothing" not in found
