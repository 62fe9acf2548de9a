"""The public functions: what the command line and the estimator call."""

from __future__ import annotations

from automtl.experiment.check import check_table
from automtl.experiment.input_selection import Prepared, choose_variant
from automtl.experiment.pipeline import Run, fit_table
from automtl.experiment.source import Roles, check_schema, open_source, resolve_schema

__all__ = [
    "Prepared", "Roles", "Run", "check_schema", "check_table", "choose_variant", "fit_table", "open_source",
    "resolve_schema",
]  # fmt: skip
