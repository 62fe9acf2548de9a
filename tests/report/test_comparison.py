"""The report of a comparison, from plain values."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from automtl.errors import FileError
from automtl.experiment.report import report_folder
from automtl.report.folder import comparison_report
from automtl.system.manifest import COMPARISON, MANIFEST
from tests.report.page import Page
from tests.report.values import NAMES, comparison_values


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(comparison_report(comparison_values()))


def test_conclusions_come_first_and_marks_are_words(page: Page) -> None:
    words = "\n".join(page.words)
    assert words.index("automtl is better than mmoe") < words.index("Results")
    assert words.count("▲ better") == words.count("≈ within noise") == 1
    assert page.words.count("best rival") == 2 + 1  # marks, and the head of the table of tests
    assert " (best)" in page.words


def test_a_failed_model_is_named_with_its_message(page: Page) -> None:
    assert f"no convergence in {NAMES[0]}" in page.words
    assert "script" not in {tag for tag, _ in page.seen}


def test_all_pictures_are_there(page: Page) -> None:
    drawn = {attributes["id"] for tag, attributes in page.seen if tag == "figure"}
    assert {"picture-gains", "picture-cost-parameters", "picture-cost-seconds", "picture-architecture"} <= drawn
    assert "picture-cost-flops-per-row" not in drawn  # one model alone has them
    assert sum(str(name).startswith("picture-seeds") for name in drawn) == 3
    assert len(page.ids()) == len(set(page.ids()))


def test_findings_and_gate_weights_are_shown_where_they_are_known(page: Page) -> None:
    assert "2 findings of the data checks, 1 warning" in page.words
    assert page.words.count(f"tells {NAMES[0]} with AUC 0.93; ") == 2
    assert "12.5 %" in page.words
    older = comparison_values()
    del older["findings"]
    for seed in older["models"]["automtl"]["seeds"]:
        del seed["gates"]
    bare = Page(comparison_report(older))
    assert "Data" not in bare.words
    assert "mean gate weights were not recorded" in " ".join(bare.words)


def test_a_comparison_without_conclusions_or_results_has_a_page() -> None:
    values = comparison_values()
    models = {name: model for name, model in values["models"].items() if model["failed"]}
    bare = Page(comparison_report(values | {"significance": {}, "models": models}))
    assert "Failed models" in bare.words


def test_a_saved_comparison_is_reported_and_another_format_refused(tmp_path: Path) -> None:
    COMPARISON.write(tmp_path, {})
    with pytest.raises(FileError, match="comparison.json' cannot be read .*when a comparison has ended"):
        report_folder(tmp_path)
    (tmp_path / "comparison.json").write_text(json.dumps(comparison_values()))
    written = report_folder(tmp_path, tmp_path / "out" / "page.html", tmp_path / "pictures")
    assert (tmp_path / "out" / "page.html") in written
    assert len(list((tmp_path / "pictures").iterdir())) == len(written) - 1
    for path in (tmp_path / "pictures").iterdir():
        ElementTree.parse(path)
    (tmp_path / MANIFEST).write_text('{"kind": "comparison", "format": 9}')
    with pytest.raises(FileError, match="has format 9.* compare again"):
        report_folder(tmp_path)
