"""Look at a table before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from automtl.config import Settings
from automtl.data.quality import Finding
from automtl.data.schema import Schema
from automtl.recipes.sources import Roles, open_source


def check_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    roles: Roles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """What the checks of the data find in a table, split as `fit_table` would, or found when it was prepared."""
    rows, _ = open_source(source, tasks, roles or Roles(), schema, settings or Settings(), seed)
    return rows.findings(seed)
