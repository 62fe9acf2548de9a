"""A model card says what a model is and what nobody has tested, whatever names its table has."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from automtl.report.card import auc_interval, card_sections
from automtl.report.card_pages import card_html, card_markdown, escaped
from automtl.report.run import RunValues
from tests.report.values import NAMES, run_values


@pytest.fixture(scope="module")
def run() -> RunValues:
    return run_values()


class Tags(HTMLParser):
    """Which tags a page has, and that they are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_escapes_every_name(run: RunValues) -> None:
    tags, page = Tags(), card_html(run)
    tags.feed(page)
    assert not tags.open and "script" not in tags.seen and "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_markdown_shows_names_as_they_are(run: RunValues) -> None:
    text = card_markdown(run)
    assert "<" not in re.sub(r"\\<", "", text) and "\x1b" not in text and "\x00" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows and all(line.endswith(" |") for line in rows)
    assert escaped("a|b*c_<i>\n`x`") == r"a\|b\*c\_\<i\> \`x\`"


def test_every_table_is_as_wide_as_its_header(run: RunValues) -> None:
    grids = [grid for section in card_sections(run) for grid in section.grids]
    assert len(grids) >= 4 and all(len(row) == len(grid.header) for grid in grids for row in grid.rows)


def test_it_has_all_parts_and_its_limits_are_of_this_model(run: RunValues) -> None:
    titles = [section.title for section in card_sections(run)]
    assert titles == [
        "Intended use", "Data", "Metrics", "Limits", "Architecture", "Training", "Versions and licence"
    ]  # fmt: skip
    assert "only 2 test rows have the rarer label" in card_markdown(run)  # 10 rows, a quarter of them positive
    timed = replace(
        run, schema={**run.schema, "time": "moment"}, settings={**run.settings, "split": {"method": "random"}}
    )
    assert "split at random although" in card_markdown(timed) and "split at random although" not in card_markdown(run)


def test_a_refit_and_its_doubts_are_told(run: RunValues) -> None:
    lineage = {"number": 3, "from": "/models/old_model", "warm": True, "at": "2026-01-02T03:04:05+00:00"}
    again = replace(
        run, history={**run.history, "refit": lineage},
        metrics={**run.metrics, "refit": {"reasons": ["its loss is worse"]},
                 "table": {"period": ["1", "9"], "left_out": list(NAMES)}},
    )  # fmt: skip
    text = card_markdown(again)
    assert r"refit number 3 of old\_model, from its weights" in text and "against the refit: its loss is worse" in text
    assert "period: 1 to 9" in text and "does not use" in text


def test_the_interval_of_an_auc_covers_what_other_rows_give() -> None:
    rng = np.random.default_rng(0)

    def drawn() -> float:
        labels = np.repeat([0, 1], [300, 100])
        return float(roc_auc_score(labels, rng.normal(size=400) + labels))

    truth = 0.7602  # of two normal distributions one standard deviation apart
    found = [auc_interval(drawn(), 100, 300) for _ in range(200)]
    share = np.mean([low <= truth <= high for low, high in (one for one in found if one is not None)])
    assert 0.9 <= share <= 0.99
    assert auc_interval(0.7, 0, 10) is None
