"""The report of a run, from plain values."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from automtl.report.card_pages import card_markdown
from automtl.report.folder import attempted, picture_files, run_report
from automtl.report.glossary import TERMS
from automtl.report.run import expert_names, run_pictures
from tests.report.page import Page
from tests.report.values import NAMES, run_values


@pytest.fixture(scope="module")
def page() -> str:
    return run_report(run_values())


def test_names_that_mean_harm_are_shown_as_text(page: str) -> None:
    found = Page(page)
    assert "script" not in {tag for tag, _ in found.seen}
    assert NAMES[0] in found.words
    assert NAMES[2] in found.words
    assert "line break\ufffd\ufffd" in found.words
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", page)
    assert not any(name.startswith("on") for _, attributes in found.seen for name in attributes)


def test_the_page_needs_no_network_and_runs_no_code(page: str) -> None:
    found = Page(page)
    links = [value or "" for _, a in found.seen for name, value in a.items() if name in ("href", "src", "xlink:href")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert not re.search(r"url\((?!#)|@import", page)
    assert any("default-src 'none'" in (a.get("content") or "") for _, a in found.seen)


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    found = Page(page)
    ids = found.ids()
    assert len(ids) == len(set(ids))
    links = {(a.get("href") or "")[1:] for _, a in found.seen if (a.get("href") or "").startswith("#")}
    labels = {name for _, a in found.seen for name in (a.get("aria-labelledby") or "").split()}
    paths = set(re.findall(r"url\(#([^)]+)\)", page))
    assert links | labels | paths <= set(ids)
    assert paths


def test_every_drawing_has_a_title_and_a_description(page: str) -> None:
    drawings = [attributes for tag, attributes in Page(page).seen if tag == "svg"]
    # 4 of steps, the leaderboard, architecture, 5 selections, 5 choices, 4 of the search, 2 of training, 4 + 5 of test
    assert len(drawings) == 31
    assert all(drawing["role"] == "img" and drawing["aria-labelledby"] for drawing in drawings)


def test_findings_of_the_data_checks_are_listed_and_their_absence_is_said(page: str) -> None:
    assert "2 findings of the data checks, 1 warning" in Page(page).words
    run = run_values()
    clean = Page(run_report(replace(run, metrics={**run.metrics, "findings": []})))
    assert "The data checks found nothing." in clean.words


def test_undefined_metrics_have_their_reason(page: str) -> None:
    words = " ".join(Page(page).words)
    assert "AUC is undefined: every label is 0." in words
    assert "MTL-Loss is undefined" in words
    assert "there is no group column" not in words


def test_colours_in_a_page_are_variables_of_its_style(page: str) -> None:
    for drawing in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        assert not re.findall(r"(?:fill|stroke): #(?!000000|ffffff)\w+", drawing)


def test_the_same_values_give_the_same_bytes_and_a_small_page(page: str) -> None:
    assert run_report(run_values()) == page
    assert len(page.encode()) < 1_500_000


def test_pictures_are_files_of_their_own() -> None:
    files = picture_files(lambda: run_pictures(run_values(tasks=("click",), looks=3)), png=True)
    assert {"architecture.svg", "architecture.png", "selection-1-click.svg", "calibration-1-click.png"} <= set(files)
    for name, content in files.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(content)
            assert "var(--" not in content.decode()
            assert root.find("{http://www.w3.org/2000/svg}desc") is not None
        else:
            assert content.startswith(b"\x89PNG")


def test_a_published_model_and_an_old_folder_say_what_is_missing() -> None:
    run = run_values(tasks=("click",), looks=2)
    published = replace(
        run,
        model={"members": [{"name": "mmoe", "model": "mmoe", "architecture": None}]},
        history={**run.history, "search": None},
        curves={},
        settings={},
    )
    words = " ".join(Page(run_report(published)).words)
    assert "'mmoe' is a published model: it has no search" in words
    assert "written without curves.json" in words


def test_a_report_that_cannot_be_made_is_a_warning() -> None:
    broken = replace(run_values(tasks=("click",)), metrics={})
    with pytest.warns(RuntimeWarning, match="report could not be made"):
        assert attempted(lambda: run_report(broken), "the model is") == {}
    with pytest.warns(RuntimeWarning, match="card could not be made .*'automtl card FOLDER' tries again"):
        assert attempted(lambda: card_markdown(broken), "the model is", "card.md") == {}


def test_the_trials_that_ended_a_search_are_told_and_which_was_taken() -> None:
    run = run_values()
    trials = [
        {"name": "as found", "score": 0.9, "architecture": {}},
        {"name": "plain layers", "score": 0.8, "architecture": {}},
    ]
    told = run_report(replace(run, history=run.history | {"search": run.history["search"] | {"trials": trials}}))
    rows = re.findall(r'<th scope="row">(as found|plain layers)</th><td>(\S+)</td><td>(\w*)</td>', told)
    assert rows == [("as found", "0.9000", ""), ("plain layers", "0.8000", "taken")]
    assert "Trials" not in Page(run_report(run)).words


def test_the_page_is_titled_by_its_table() -> None:
    run = run_values()
    named = replace(run, settings={**run.settings, "table": {"path": "/data/clicks.parquet", "rows": 9, "columns": 3}})
    assert named.heading == "Searched model on clicks.parquet" and run.heading == "Searched model"
    several = {"members": [*run.model["members"], {"name": "trees", "model": "lightgbm", "architecture": None}]}
    assert replace(named, model=several).heading == "Ensemble of 2 models on clicks.parquet"


def test_experts_have_the_names_of_the_architecture() -> None:
    made = {"interaction": ["skip"], "pooling": ["sum", "mean", "max"], "layer_1": ["a", "b", "c"]}
    last = {"choices": made, "selection": [[0, 2], [2]]}
    kept = {"interaction": ["skip"], "pooling": ["sum", "max"], "layer_1": ["a", "c"]}
    final = {"choices": kept, "selection": [[0, 1], [1]]}
    assert expert_names([{"architecture": last}], final) == ["E0", "idle 1", "E1"]
    assert expert_names([{"architecture": last}], last) == ["search 0", "search 1", "search 2"]


def test_terms_are_told_once_and_listed(page: str) -> None:
    found = Page(page)
    terms = [attributes for tag, attributes in found.seen if tag == "a" and attributes.get("class") == "term"]
    assert len(terms) == len({attributes["href"] for attributes in terms}) > 8
    assert {attributes["title"] for attributes in terms} <= set(found.words)
    assert set(TERMS.values()) >= {attributes["title"] for attributes in terms}


def test_importance_is_shown_where_it_was_measured() -> None:
    measured = [
        {"column": name, "task": NAMES[0], "metric": "auc", "base": 0.7, "drop": drop, "spread": 0.001}
        for name, drop in ((NAMES[1], 0.03), ("other", None))
    ]
    found = run_pictures(replace(run_values(), importance=measured))["importance"]
    assert [one.description for one in found] == [f"{NAMES[1]} +0.0300."]
