"""Names that mean harm are nothing but text in every kind of page, and the page works under its own policy."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from automtl.report import drift as drift_report
from automtl.report.card_pages import card_html
from automtl.report.explanation import explanation_page
from automtl.report.folder import comparison_report, reproduction_files, run_report
from automtl.report.picture import Picture
from automtl.report.style import drawing
from tests.report.page import Page
from tests.report.values import comparison_values, explained_rows, run_values

HARM = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "'; onload='alert(1)",
    "</style><style>*{}", "{{ 7 * 7 }}{% include 'x' %}", "&lt;b&gt;", "]]><!--",
    "\u202egnp.exe\u2066", "long" * 60,
)  # fmt: skip


def hostile(value: Any) -> Any:
    """Return settings of hostile names and values."""
    return {HARM[place % len(HARM)] + str(place): one for place, one in enumerate(HARM)} | {"value": value}


def drift_values() -> dict[str, Any]:
    """Values of a drift whose every name is hostile."""
    counts = {"now": [1, 2, 3], "at_fit": [3, 2, 1]}
    measured = {"psi": 0.3, "chance": 0.1, "js": 0.2, "drift": True}
    share = {"now": 0.5, "at_fit": 0.1}
    return {
        "automtl": HARM[0], "table": HARM[1], "model": HARM[2], "rows": {"now": 10, "at_fit": 20}, "labelled": HARM,
        "drift": HARM, "ignored": HARM, "settings": {"psi": 0.2} | hostile(1),
        "columns": [counts | measured | {"name": name, "kind": kind} for name, kind in zip(HARM, ["ids", HARM[0]] * 5)],
        "fields": [{"name": name, "missing": share, "unknown": share, "drift": False} for name in HARM],
        "tasks": [
            {"name": name, "scores": counts | measured, "drift": True, "labels": {HARM[0]: {"now": 0.1, "at_fit": 0.2}}}
            for name in HARM
        ],
    }  # fmt: skip


def drift_page() -> str:
    with drawing():
        return drift_report.drift_page(drift_values())


def run() -> Any:
    made = run_values(tasks=HARM[:3], looks=4, num_experts=4)
    return replace(made, settings=made.settings | hostile(1), version=HARM[0])


def comparison_page() -> str:
    values = comparison_values(HARM[:3])
    return comparison_report(values | {"reference": "automtl", "automtl": HARM[1], "sentence": HARM[0]})


def reproduction_page() -> str:
    words = {"reproduction": "TABLE3", "title": HARM[0], "paper": HARM[1], "note": HARM[2], "sentences": HARM}
    values = comparison_values(HARM[:3]) | words | {"failed": {HARM[3]: HARM[4]}}
    with drawing():
        picture = Picture("one", HARM[5], HARM[6], drift_report._columns(drift_values())[0].figure, HARM[7])
        return reproduction_files(values, [(HARM[0], list(HARM), [list(HARM)])], [picture])["TABLE3.html"]


PAGES: dict[str, Callable[[], str]] = {
    "run": lambda: run_report(run()), "card": lambda: card_html(run()), "comparison": comparison_page,
    "reproduction": reproduction_page, "drift": drift_page,
    "explanation": lambda: explanation_page(explained_rows(), HARM[0], HARM[1]),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(PAGES))
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


def test_hostile_names_are_text(page: str) -> None:
    found = Page(page)
    assert {tag for tag, _ in found.seen}.isdisjoint({"script", "img", "iframe", "object", "embed", "base", "form"})
    assert not [name for _, attributes in found.seen for name in attributes if name.startswith("on")]
    links = [value or "" for _, a in found.seen for name, value in a.items() if name in ("href", "src", "action")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert page.count("<style") == 1 and "<!--" not in page
    assert any("script>alert(1)" in words for words in found.words)


def test_the_page_works_under_its_policy(page: str) -> None:
    found = Page(page)
    (policy,) = [a["content"] for tag, a in found.seen if a.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy is not None and f"style-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy and "base-uri 'none'" in policy and "unsafe" not in policy
    assert not [1 for _, attributes in found.seen if "style" in attributes], "forbidden by the policy"
    drawn = {a["class"] for tag, a in found.seen if (a.get("class") or "").startswith("drawn-")}
    assert drawn == set(re.findall(r"^\.(drawn-\d+) \{", style, re.MULTILINE))
    assert bool(drawn) == ("<svg" in page)
