"""The public functions: what the command line and the estimator call."""

from __future__ import annotations

from automtl.recipes.check import check_table
from automtl.recipes.compare import compare_table
from automtl.recipes.fit import Run, fit_table
from automtl.recipes.inputs import Prepared, choose_variant
from automtl.recipes.sources import Roles, check_schema, open_source, resolve_schema
from automtl.recipes.terms import Terms

__all__ = [
    "Prepared", "Roles", "Run", "Terms", "check_schema", "check_table", "choose_variant", "compare_table",
    "fit_table", "open_source", "resolve_schema",
]  # fmt: skip
