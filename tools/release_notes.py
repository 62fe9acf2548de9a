"""Cuts the notes of this version from the changelog.

    python tools/release_notes.py OUT

Exit code 1 if the changelog has no section of this version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from house import ROOT, SOURCE


def notes_of(changelog: str, version: str) -> str:
    """Return the section of a version: its heading with the date, and what changed.

    >>> notes_of("# Changelog\\n\\n## [0.2.0] - 2030-01-02\\n\\n- Faster.\\n\\n## [0.1.0] - 2029-01-02\\n", "0.2.0")
    '## 0.2.0 - 2030-01-02\\n\\n- Faster.\\n'
    """
    found = re.search(rf"^## \[{re.escape(version)}\] - (.+?)$\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"CHANGELOG.md has no section '## [{version}] - DATE'; write one")
    date, text = found.groups()
    return f"## {version} - {date}\n\n{text.strip()}\n"


def main() -> None:
    """Write the notes, and say where a date is missing."""
    (version,) = re.findall(r'__version__ = "(.+)"', (SOURCE / "_version.py").read_text())
    notes, out = notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version), Path(sys.argv[1])
    out.write_text(notes, encoding="utf-8")
    print(f"release notes of {version}: {out}")
    if notes.splitlines()[0].endswith("unreleased"):
        print(f"version {version} is unreleased in CHANGELOG.md: give it a date before you publish")


if __name__ == "__main__":
    main()
