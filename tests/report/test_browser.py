"""Pages in a real browser: nothing is asked of the network, nothing complains, everything fits a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from automtl.report.card_pages import card_html
from automtl.report.drift import drift_page
from automtl.report.explanation import explanation_page
from automtl.report.folder import comparison_report, run_report
from tests.report.test_harm import PAGES as HOSTILE
from tests.report.values import (
    NAMES,
    comparison_values,
    crowded_comparison,
    crowded_run,
    drift_values,
    explained_rows,
    reproduction_report,
    run_values,
)

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs the programs chromium and chromedriver (Debian: chromium, chromium-driver)"
)
OVERFLOWING = """
return [...document.querySelectorAll('body *')]
  .filter(element => !element.parentElement.closest('.scroll') && !element.closest('.skip, .hidden'))
  .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 80));
"""
OVERLAPPING = """
return [...document.querySelectorAll('figure svg')].flatMap(drawing => {
  const words = [...drawing.querySelectorAll('text')].filter(word => word.textContent.trim());
  const boxes = words.map(word => word.getBoundingClientRect());
  return words.flatMap((word, i) => words.slice(i + 1).flatMap((other, j) => {
    const [a, b] = [boxes[i], boxes[i + 1 + j]];
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    return across > 2 && down > 5 ? [`${word.textContent} / ${other.textContent}`] : [];
  }));
});
"""
WORDLESS = "return [...document.querySelectorAll('figure svg')].filter(one => !one.querySelector('text')).length"
CUT = """
return [...document.querySelectorAll('figure svg')].flatMap(drawing => {
  const frame = drawing.getBoundingClientRect();
  return [...drawing.querySelectorAll('text')].filter(word => {
    const box = word.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1;
  }).map(word => word.textContent);
});
"""
COLOURS = """
const words = [...document.querySelectorAll('p, td, th, a, dt, dd, summary, small, svg text')];
const of = word => getComputedStyle(word)[word.namespaceURI.endsWith('svg') ? 'fill' : 'color'];
return [getComputedStyle(document.body).backgroundColor, ...words.map(of)];
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


PAGES = {
    "run": lambda: run_report(run_values()),
    "crowded run": lambda: run_report(crowded_run()),
    "explanation": lambda: explanation_page(explained_rows(), NAMES[0], NAMES[1]),
    "drift": lambda: drift_page(drift_values()),
    "card": lambda: card_html(run_values()),
    "comparison": lambda: comparison_report(comparison_values()),
    "crowded comparison": lambda: comparison_report(crowded_comparison()),
    "reproduction": reproduction_report,
}


@pytest.fixture(scope="module", params=list(PAGES))
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / f"{request.param.replace(' ', '-')}.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


def show(browser: Any, page: Path, width: int, scheme: str = "light", *, opened: bool = True) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme_feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_feature)
    browser.get(page.as_uri())
    browser.execute_script(f"document.querySelectorAll('details').forEach(one => one.open = {json.dumps(opened)})")


def test_no_request_and_no_complaint(browser: Any, page: Path) -> None:
    browser.get("about:blank")
    for kind in ("performance", "browser"):
        browser.get_log(kind)
    show(browser, page, 1200)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith(("data:", "chrome"))} == {page.as_uri()}
    assert [entry["message"] for entry in browser.get_log("browser")] == []


@pytest.mark.parametrize("name", ["run", "card", "drift"])
def test_hostile_names_run_nothing_and_fit_and_the_policy_would_stop_what_ran(
    name: str, browser: Any, tmp_path: Path
) -> None:
    page, script = tmp_path / "page.html", "<script>document.title = 'ran'</script><img src=x onerror=\"x = 1\">"
    for added in ("", script):
        page.write_text(page.read_text("utf-8") + added if added else HOSTILE[name](), encoding="utf-8")
        browser.get_log("browser")
        show(browser, page, 375)
        complaints = [entry["message"] for entry in browser.get_log("browser")]
        assert bool(complaints) == bool(added) and all("Content Security Policy" in one for one in complaints)
        assert browser.execute_script("return document.title != 'ran' && typeof x == 'undefined'")
        assert browser.execute_script("return document.documentElement.scrollWidth") == 375
        assert browser.execute_script(OVERFLOWING) == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_reaches_beyond_the_window(browser: Any, page: Path, width: int) -> None:
    show(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    assert browser.execute_script(OVERFLOWING) == []


def test_words_of_drawings_neither_overlap_nor_are_cut(browser: Any, page: Path) -> None:
    show(browser, page, 1280)
    assert browser.execute_script(WORDLESS) == 0
    assert browser.execute_script(OVERLAPPING) == []
    assert browser.execute_script(CUT) == []


def test_what_is_folded_is_printed(browser: Any, page: Path) -> None:
    show(browser, page, 800, opened=False)
    folded = "return [...document.querySelectorAll('details:not([open]) > :not(summary)')]"
    seen = f"{folded}.map(one => one.checkVisibility() && one.getBoundingClientRect().height > 0)"
    assert not any(browser.execute_script(seen))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert all(browser.execute_script(seen))
    assert browser.execute_script("return document.documentElement.scrollWidth") == 800
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_dark_and_light_differ_and_words_stand_out(browser: Any, page: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        show(browser, page, 1200, scheme)
        ground, *words = browser.execute_script(COLOURS)
        grounds.append(ground)
        assert min(contrast(ground, word) for word in set(words)) >= 4.5
    assert grounds[0] != grounds[1]


def contrast(*colours: str) -> float:
    """WCAG 2.2, of 'rgb(r, g, b)'."""
    light, dark = sorted((_luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
