"""Genuine pieces of public data, where the machine has them: in the folder AUTOMTL_DATA, else ../shared/data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("AUTOMTL_DATA") or Path(__file__).parents[2] / "shared" / "data")


def genuine(name: str) -> Path:
    """The path of a file; skips the test where it is absent."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"'{path}' is not on this machine; name its folder in AUTOMTL_DATA")
    return path
