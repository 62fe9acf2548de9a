"""The paper's tables and figures, each of which one command reproduces on any table of rows."""

from __future__ import annotations

from automtl.errors import SettingsError, suggestion
from automtl.paper.base import Reproduction
from automtl.paper.figure3 import FIGURE3
from automtl.paper.figure4 import FIGURE4
from automtl.paper.figure5 import FIGURE5
from automtl.paper.figure6 import FIGURE6
from automtl.paper.run import Reproduced, reproduce
from automtl.paper.table3 import TABLE3
from automtl.paper.table4 import TABLE4
from automtl.paper.table5 import TABLE5

REPRODUCTIONS = {made.name: made for made in (TABLE3, TABLE4, TABLE5, FIGURE3, FIGURE4, FIGURE5, FIGURE6)}

__all__ = ["REPRODUCTIONS", "Reproduced", "Reproduction", "find_reproduction", "reproduce"]


def find_reproduction(name: str) -> Reproduction:
    """Find a reproduction by its name, in any case. Raises SettingsError that lists all."""
    found = REPRODUCTIONS.get(name.upper())
    if found is None:
        known = ", ".join(REPRODUCTIONS)
        raise SettingsError(
            f"reproduction '{name}' is unknown{suggestion(name.upper(), REPRODUCTIONS)}; known: {known}"
        )
    return found
