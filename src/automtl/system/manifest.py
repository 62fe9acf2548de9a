"""The JSON file that makes a folder of ours one: what kind it is of, in which format, written where."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automtl._version import __version__
from automtl.errors import StoreError


@dataclass(frozen=True)
class IndexKind:
    """How the index of one kind of folder is told from others. `what`, `remedy`: for messages."""

    file: str
    kind: str
    format: int  # a change that older code cannot read raises it
    what: str
    remedy: str

    @property
    def header(self) -> dict[str, Any]:
        """What every index of the kind begins with."""
        return {"kind": self.kind, "format": self.format, "automtl": __version__, "byte_order": sys.byteorder}

    def read(self, folder: Path) -> dict[str, Any]:
        """Raises StoreError where it is missing, damaged, of another kind, format or byte order."""
        path = folder / self.file
        if not folder.is_dir():
            raise StoreError(f"{self.what} '{folder}' does not exist; check the path")
        if not path.is_file():
            raise StoreError(f"'{folder}' has no {self.file}; it is no {self.what}, or writing it was interrupted")
        try:
            index = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(f"'{path}' cannot be read ({error}); {self.remedy}") from None
        if not isinstance(index, dict) or index.get("kind") != self.kind:
            raise StoreError(f"'{path}' was not written by automtl; expected a {self.what}")
        if index.get("format") != self.format:
            raise StoreError(
                f"'{folder}' has format {index.get('format')}, this automtl {__version__} reads {self.format}; "
                f"use automtl {index.get('automtl')} or {self.remedy}"
            )
        if index.get("byte_order") != sys.byteorder:
            raise StoreError(f"'{folder}' was written on a machine of another byte order; {self.remedy}")
        return index


PREPARED = IndexKind("prepared.json", "automtl prepared table", 1, "prepared table", "prepare the table again")
