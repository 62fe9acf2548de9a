"""What mkdocs does not do by itself: pages made from the code, papers of the root as pages, the long parts of nav."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import member_pages
from automtl.models.registry import EVERY_MODEL
from automtl.operations import OPERATIONS
from house import LEFT_OUT, ROOT, SOURCE
from settings_reference import page as settings_page

DOCS = ROOT / "docs"
PAPERS = {  # path from docs/ to a file outside: page of the site
    "../README.md": "overview.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../SECURITY.md": "security.md",
    "../benchmarks/README.md": "benchmarks.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to nav what grows by itself: models, operations, rooms of the package, decisions, results."""
    assert config.nav is not None
    sections = {title: entries for part in config.nav for title, entries in part.items()}
    for kind, names in (("models", EVERY_MODEL), ("operations", OPERATIONS)):
        pages = [{f"All {kind}": f"{kind}/index.md"}, *({name: f"{kind}/{name}.md"} for name in names)]
        sections["Reference"].append({kind.capitalize(): pages})
    sections["Reference"].append({"All modules": [{room: f"reference/{room}.md"} for room in sorted(_rooms())]})
    for title, folder in (("Explanation", "decisions"), ("Results", "results")):
        pages = [{of: f"{folder}/{path.name}"} for path, of in _titles(DOCS / folder).items()]
        sections[title] += [{"Decisions": pages}] if folder == "decisions" else pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file of docs/ holds."""
    pages = {page: _paper(paper) for paper, page in PAPERS.items()}
    pages |= {"reference/settings.md": settings_page(), "reference/public.md": _public(), "examples.md": _examples()}
    pages |= member_pages.pages()
    pages |= {f"reference/{room}.md": text for room, text in _rooms().items()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository that are no pages of the site become their text alone."""

    def followed(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), target))
        if path in PAPERS:
            home = posixpath.dirname(page.file.src_uri) or "."
            return f"[{text}]({posixpath.relpath(PAPERS[path], home)}{anchor or ''})"
        outside = path.startswith("..") or (DOCS / path).is_dir()
        return text if outside and (DOCS / path).exists() else link.group()

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)#:\s]+)(#[\w-]+)?\)", followed, markdown)


def _paper(paper: str) -> str:
    """A file outside docs/ as if it stood in docs/."""
    path = DOCS / paper
    folder = posixpath.dirname(paper)

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link.group(1)))
        return f"]({posixpath.relpath(posixpath.join('docs', target), 'docs')}".replace("](../docs/", "](")

    return re.sub(r"\]\(([^)#:\s]+)(?=[)#])", moved, path.read_text(encoding="utf-8"))


def _titles(folder: Path) -> dict[Path, str]:
    return {
        path: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for path in sorted(folder.glob("*.md"))
    }


def _public() -> str:
    """The names of `automtl.__init__`, in their order."""
    body = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8")).body
    (names,) = (
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    members = ", ".join(name for name in names if not name.startswith("_"))
    return f"# Public names\n\nWhat is not here may change.\n\n::: automtl\n    options:\n      members: [{members}]\n"


def _rooms() -> dict[str, str]:
    """One page a room with all its modules, from their docstrings."""
    pages: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[0] not in LEFT_OUT:
            module = ".".join(("automtl", *(parts[:-1] if parts[-1] == "__init__" else parts)))
            pages.setdefault(parts[0], [f"# automtl.{parts[0]}"]).append(f"::: {module}")
    return {room: "\n\n".join(parts) + "\n" for room, parts in pages.items()}


def _examples() -> str:
    """The examples, which the tests run."""
    parts = ["# Examples", "Each is a file of `examples/`, takes some seconds, and is run by the tests."]
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        parts.append(f"## {path.name}\n\n{_notebook(json.loads(path.read_text(encoding='utf-8')))}")
    for path in sorted((ROOT / "examples").glob("*.py")):
        parts.append(f"## {path.name}\n\n```python\n{path.read_text(encoding='utf-8')}```")
    return "\n\n".join(parts) + "\n"


def _notebook(notebook: dict[str, Any]) -> str:
    """The cells of a notebook with the texts that they gave; its headings are one level lower here."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"^#", "##", source, flags=re.MULTILINE))
        else:
            given = [out.get("text") or out.get("data", {}).get("text/plain", []) for out in cell["outputs"]]
            parts += [
                f"```python\n{source}\n```",
                *(f"```text\n{''.join(text).rstrip()}\n```" for text in given if text),
            ]
    return "\n\n".join(parts)
