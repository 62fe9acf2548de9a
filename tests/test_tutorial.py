"""The tutorial and the first hour are followed as printed: every command, in one folder, one page after the other."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from automtl.serving.server.run import Listening, open_socket
from house import ROOT
from tests.pages import Reader

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.md"))


def test_the_tutorial_and_the_first_hour_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_socket(Listening(port=0)) as free:
        port = free.getsockname()[1]
    reader = Reader({"raw_log.py": ROOT / "examples" / "tutorial" / "raw_log.py"}, port)
    assert len(TUTORIAL) == 5
    for page in TUTORIAL:
        reader.follow(f"tutorial/{page.name}", monkeypatch, capsys)
    clicked, bought = (reader.names["table"][task].mean() for task in ("click", "buy"))
    assert f"{clicked:.0%} are clicked and {bought:.0%} bought".replace("%", " %") in TUTORIAL[0].read_text()
    scores, tomorrow = pl.read_parquet("scores.parquet"), pl.read_parquet("tomorrow.parquet")
    assert scores.columns == ["show_id", "click", "buy"] and scores["show_id"].equals(tomorrow["show_id"])
    assert "automtl_rows_total" in Path("metrics.txt").read_text()
    assert "POST /models/clicks/predict" in Path("page.html").read_text()
    answer = json.loads(Path("answer.json").read_text())
    assert set(answer["scores"][0]) == {"click", "buy"} and answer["unknown"] == [[]]
    (checked,) = [said for line, said in reader.said.items() if line.startswith("automtl check")]
    assert "dwell_ms" in checked and "1.000" in checked  # as the page says

    reader.small = {"fit": ["--model", "mmoe", "--config", "tutorial.yaml"], "compare": ["--config", "tutorial.yaml"]}
    reader.follow("first-hour.md", monkeypatch, capsys)
    assert pl.read_parquet("ids.parquet").columns == ["show_id", "user_id", "click", "buy"]
    assert reader.names["scores"].equals(pl.read_parquet("ids.parquet").select("click", "buy"))
