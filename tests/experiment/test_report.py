"""Reports, cards and leaderboards of run folders whose values are bent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from automtl.errors import FileError
from automtl.experiment.card import model_card
from automtl.experiment.report import read_run, report_folder, showing
from automtl.report.run import RunValues
from automtl.system.files import json_bytes
from automtl.system.manifest import MODEL, checksums
from automtl.tables.schema import Schema
from tests.report.values import run_values

SCHEMA = {"fields": [{"name": "user", "kind": "categorical"}], "tasks": [{"name": "click"}, {"name": "buy"}]}


def run_folder(folder: Path, values: RunValues) -> Path:
    """Write the values of a run, with checksums that fit; there is no model."""
    folder.mkdir()
    (folder / "schema.yaml").write_text(Schema.from_dict(SCHEMA).text())
    for name in ("metrics", "history", "settings", "curves"):
        (folder / f"{name}.json").write_bytes(json_bytes(getattr(values, name)))
    (folder / "architecture.json").write_bytes(json_bytes(values.model))
    MODEL.write(folder, {}, checksums(folder, [path.name for path in folder.iterdir()]))
    return folder


@pytest.fixture
def values() -> RunValues:
    return replace(run_values(("click", "buy"), looks=2, num_experts=4), history={}, curves={})


def test_a_folder_of_values_alone_is_reported(values: RunValues, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", values)
    assert read_run(folder).tasks == ["click", "buy"]
    assert report_folder(folder, tmp_path / "page.html") == [tmp_path / "page.html"]
    assert "Data" in model_card(folder)


def test_importance_is_shown_if_it_is_given(values: RunValues, tmp_path: Path) -> None:
    folder, measured = run_folder(tmp_path / "run", values), tmp_path / "importance.json"
    one = {"column": "user", "task": "click", "metric": "auc", "base": 0.7, "drop": 0.1, "spread": 0.01}
    measured.write_bytes(json_bytes([one]))
    (page,) = report_folder(folder, tmp_path / "page.html", importance=measured)
    assert "0.1000 ± 0.0100" in page.read_text()
    measured.write_bytes(json_bytes([{"task": "click"}]))
    with pytest.raises(FileError, match="is no importance of columns; write it with 'automtl importance"):
        report_folder(folder, importance=measured)


@pytest.mark.parametrize(
    ("command", "part", "bent"),
    [
        (report_folder, "metrics", {"findings": "none"}),
        (report_folder, "history", {"leaderboard": [{}]}),
        (model_card, "metrics", {"findings": "none"}),
        (model_card, "metrics", {"findings": [1]}),
        (model_card, "metrics", {"findings": [{"level": "warning"}]}),
        (model_card, "metrics", {"test": []}),
        (model_card, "model", {"members": "mmoe"}),
    ],
)
def test_bent_values_are_refused_by_the_name_of_the_folder(
    values: RunValues, command: Callable[..., Any], part: str, bent: dict[str, Any], tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", replace(values, **{part: {**getattr(values, part), **bent}}))
    with pytest.raises(FileError, match=r"the values of '.*run' cannot be shown \(.*; restore its JSON files"):
        command(folder, tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_what_is_refused_already_keeps_its_message() -> None:
    with pytest.raises(FileError, match="^mine$"), showing("run"):
        raise FileError("mine")
