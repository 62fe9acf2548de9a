"""Check the data of a table before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from automtl.config import Settings
from automtl.errors import TableError
from automtl.experiment.source import FolderSource, open_source
from automtl.tables.columns import ColumnRoles
from automtl.tables.quality import Finding
from automtl.tables.schema import Schema


def check_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    roles: ColumnRoles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """Check the data of a table, split as in `fit_table`; for a prepared table, return what was found when it was made.

    Raises TableError for a prepared table that was not checked then, since its columns are gone.

    >>> log = automtl.synthetic_log(rows=1000, seed=0)
    >>> told = log.with_columns(clicked_at=log["click"] * 17 + 3)
    >>> [finding.column for finding in automtl.check_table(told, ["click"]) if finding.check == "leakage"]
    ['clicked_at']
    """
    rows, _ = open_source(source, tasks, roles or ColumnRoles(), schema, settings or Settings(), seed)
    if isinstance(rows, FolderSource) and "findings" not in rows.folder.report:
        raise TableError(
            f"'{source}' is a prepared table, whose rows are encoded; check the table from which it was made"
        )
    return rows.findings(seed)
