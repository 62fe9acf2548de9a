"""What the documents say agrees with the code: drawings, reference of settings, commands, names, settings, files."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import member_pages
import settings_reference
from automtl.cli import app
from automtl.models.registry import EVERY_MODEL
from automtl.operations import OPERATIONS
from draw import draw_errors
from house import ROOT, SOURCE, read_house

IMAGES = ROOT / "docs" / "images"
HISTORY = ("CHANGELOG.md", "docs/results/")  # speak of what was measured or changed in its own words
PAGES = [
    path
    for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "benchmarks" / "README.md")
    if not str(path.relative_to(ROOT)).startswith(HISTORY)
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
SETTINGS = {setting.path for section in settings_reference.sections() for setting in section.settings}
SECTIONS = {section.path for section in settings_reference.sections() if section.path}


def test_the_drawing_shows_the_rooms_and_their_imports() -> None:
    """Line counts alone may be older than the code; `make docs` draws anew."""
    drawn, house = (IMAGES / "architecture.svg").read_text(), read_house()
    shown = {tuple(title.split("</title>")[0].split(" imports ")) for title in drawn.split("<title>")[2:]}
    assert shown == house.stairs(), "run: make docs"
    assert all(f">{room}</text>" in drawn for room in house.lines), "run: make docs"


def test_the_drawing_of_the_errors_is_that_of_the_classes() -> None:
    assert (IMAGES / "errors.svg").read_text() == draw_errors(), "run: make docs"


def test_the_reference_has_every_section_and_default() -> None:
    page = settings_reference.page()
    for line in (
        "## search (strategy halving)",
        "| `search.prune_at` | ",
        "| `training.learning_rate` | `float, > 0, <= 10` | `0.001` |",
        "| `model` | `str` | `automtl` |",
        "| `network.towers` | `tuple[int, ...], each >= 1, each <= 65536, entries <= 64` | `[128, 64]` |",
        "| `budget.save_every` | `duration` | `60` |",
        "| `presets.name` | `str` | `required` |",
    ):
        assert line in page


def test_every_model_and_operation_has_a_page_with_what_it_computes_and_costs() -> None:
    pages = member_pages.pages()
    assert {*pages} == {
        f"{kind}/{name}.md"
        for kind, names in (("models", EVERY_MODEL), ("operations", OPERATIONS))
        for name in ("index", *names)
    }
    assert "(silu(x G) * (x V)) W (Shazeer 2020, eq. 6" in pages["operations/glu.md"]
    assert (
        "`glu-64`" in pages["operations/glu.md"]
        and "12,480 parameters, 12,288 multiply-adds" in pages["operations/glu.md"]
    )
    assert "Ma et al., KDD 2018" in pages["models/mmoe.md"] and "`network.width`" in pages["models/mmoe.md"]
    assert "the section `trees`" in pages["models/lightgbm.md"]


def test_every_setting_is_described() -> None:
    assert settings_reference.undescribed() == []


def _commands(text: str) -> Iterator[list[str]]:
    """Command lines of automtl in blocks and in running text, as words; those with `...` are cut there."""
    text = text.replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"```(?:sh|bash|text)\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"^automtl (.+)$", blocks, re.MULTILINE) + re.findall(r"^ {4}automtl (.+)$", text, re.MULTILINE)
    for line in lines + re.findall(r"`automtl ([^`\n]+)`", text):
        words = shlex.split(line, comments=True)
        yield words[: words.index("...")] if "..." in words else words


def _unknown(words: list[str]) -> str | None:
    """What of a command line the command does not know: a subcommand or an option."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        found = command.commands.get(rest.pop(0))
        if found is None:
            return " ".join(words)
        command = found
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options = [word.strip("[]").split("=")[0] for word in rest if word.strip("[]").startswith("--")]
    return next((option for option in options if option not in known | {"--help", "--version"}), None)


@every_page
def test_commands_and_their_options_exist(page: Path) -> None:
    assert [words for words in _commands(page.read_text()) if _unknown(words)] == []


@every_page
def test_dotted_names_resolve(page: Path) -> None:
    names = set(re.findall(r"\bautomtl(?:\.[A-Za-z_]\w*)+", page.read_text()))
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    names |= {
        f"{module}.{name.split()[0]}"
        for module, imported in re.findall(r"^from (automtl[\w.]*) import (.+)$", code, re.MULTILINE)
        for name in imported.split(",")
    }
    assert [name for name in sorted(names) if not _resolves(name)] == []


def _resolves(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@every_page
def test_settings_exist(page: Path) -> None:
    names = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?:: [^`]*)?`", page.read_text())
    found = {name for name in names if name.split(".")[0] in {path.split(".")[0] for path in SECTIONS}}
    found = {name for name in found if (ROOT / name).suffix not in (".json", ".py", ".md", ".safetensors", ".yaml")}
    assert sorted(found - SETTINGS - SECTIONS) == []


@every_page
def test_files_of_the_repository_exist(page: Path) -> None:
    folders = "|".join(("src", "tests", "benchmarks", "examples", "tools", *sorted({p.name for p in SOURCE.iterdir()})))
    named = set(re.findall(rf"`((?:{folders})/[\w./-]+\.(?:py|json))`", page.read_text()))
    assert [name for name in sorted(named) if not ((ROOT / name).exists() or (SOURCE / name).exists())] == []
