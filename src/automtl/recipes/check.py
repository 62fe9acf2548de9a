"""Look at a table before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from automtl.config import Settings
from automtl.data.quality import Finding, check_quality
from automtl.data.schema import Schema
from automtl.data.split import split_table
from automtl.data.table import read_table
from automtl.recipes.sources import Roles, check_schema, resolve_schema


def check_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    roles: Roles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """What the checks of the data find in a table, split as `fit_table` would."""
    table, roles = read_table(source), roles or Roles()
    schema = resolve_schema(table, tasks, roles, schema)
    check_schema(table, schema)
    left = table.drop(roles.drop, strict=False)
    return check_quality(split_table(left, schema, (settings or Settings()).split, seed), schema, seed)
