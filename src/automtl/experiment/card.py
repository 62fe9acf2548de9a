"""Write the card of a saved model."""

from __future__ import annotations

from pathlib import Path

from automtl.errors import SettingsError
from automtl.experiment.report import read_run, showing
from automtl.report.card_pages import card_html, card_markdown
from automtl.system.files import write_whole
from automtl.system.trust import names_of_folder

WRITERS = {".md": card_markdown, ".html": card_html}


def model_card(folder: Path | str, out: Path | str | None = None) -> str:
    """Return the card of a run folder, and write it to `out`: HTML if its name ends so, else Markdown.

    Raises FileError for a folder that is no run, SettingsError for a name that ends otherwise.
    """
    ending = ".md" if out is None else Path(out).suffix
    if ending not in WRITERS:
        raise SettingsError(f"--out '{out}': a card is Markdown or HTML; give a name that ends in .md or .html")
    with names_of_folder(), showing(folder):
        text = WRITERS[ending](read_run(Path(folder)))
    if out is not None:
        write_whole(Path(out), text)
    return text
