"""The command that lists the models of a run."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from automtl.cli import app
from tests.report.leaderboard import leaderboard_rows


def test_every_model_is_listed_and_written(tmp_path: Path) -> None:
    rows = leaderboard_rows(("click", "buy"), ("mmoe", "boosted trees"))
    (tmp_path / "history.json").write_text(json.dumps({"leaderboard": rows}))
    found = CliRunner().invoke(app, ["leaderboard", str(tmp_path), "--out", str(tmp_path / "out.json")])
    assert found.exit_code == 0
    assert all(text in found.stdout for text in ("boosted trees", "0.7409 / 0.7309", "1.42 ms", "60 %"))
    assert json.loads((tmp_path / "out.json").read_text()) == rows
