"""The card of a saved model is in its folder, and is written anew on demand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import FileError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.card import model_card
from tests.test_cli import call

QUICK = {
    "model": "mmoe", "report": False, "presets": [], "training": {"epochs": 1}, "split": {"method": "time"},
    "network": {"embedding_size": 4, "width": 8, "towers": [8]},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "clicks"
    roles = ColumnRoles(drop=("like", "cart"), time="moment", history=False)
    fit_table(log.with_row_index("moment"), ["click", "buy"], roles=roles, settings=make_settings(QUICK), out=out)
    return out


def test_a_fit_writes_the_card_that_the_command_writes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = (folder / "card.md").read_text(encoding="utf-8")
    assert call("card", folder) == 0 and capsys.readouterr().out.rstrip("\n") == written.rstrip("\n")
    assert "period: 0 to 1499" in written and "does not use: like, cart" in written and "by time" in written
    assert call("card", folder, "--out", tmp_path / "card.html") == 0
    assert (tmp_path / "card.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert model_card(folder, tmp_path / "again.md") == written == (tmp_path / "again.md").read_text(encoding="utf-8")


def test_mistakes_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ends in .md or .html"):
        model_card(folder, tmp_path / "card.pdf")
    with pytest.raises(FileError, match="does not exist"):
        model_card(tmp_path / "nothing")
