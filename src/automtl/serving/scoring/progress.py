"""Reports of the rows that are done of a table, whose number may have to be estimated."""

from __future__ import annotations

import time

from automtl.system.progress import Callback, Progress
from automtl.tables.reading.files import TableFiles


class Counter:
    """Counts rows of a stage, and reports them with the total and the rate since the counting began.

    The rows of CSV files are estimated by those at their beginning. `done`: rows of an earlier start.
    """

    def __init__(self, stage: str, files: TableFiles, callback: Callback, done: int = 0) -> None:
        self.stage, self.callback, self.first, self.done = stage, callback, done, done
        self.total = files.rows or estimated_rows(files)
        self.began = time.monotonic()

    def add(self, rows: int) -> None:
        """Count rows and report."""
        self.done += rows
        rate = (self.done - self.first) / max(time.monotonic() - self.began, 1e-3)
        self.callback(Progress(self.stage, self.done, max(self.total, self.done), rate=rate))


def estimated_rows(files: TableFiles) -> int:
    """Return about the number of rows of a table; compressed files are taken for three times as large."""
    found = 0.0
    for part in files.parts:
        if part.rows is not None:
            found += part.rows
        elif part.csv is not None:
            factor = 3 if part.file.name.lower().endswith(".gz") else 1
            found += factor * part.file.size / max(part.csv.row_bytes, 1)
    return int(found)
