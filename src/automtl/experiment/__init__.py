"""The steps from a table to a tested model, which the command line and the estimator call."""

from __future__ import annotations

from automtl.experiment.check import check_table
from automtl.experiment.experiment import Experiment
from automtl.experiment.fit import Run, fit_table
from automtl.experiment.inputs import EncodedSource
from automtl.experiment.source import check_schema, open_source
from automtl.tables.columns import ColumnRoles, resolve_schema

__all__ = [
    "ColumnRoles", "EncodedSource", "Experiment", "Run", "check_schema", "check_table", "fit_table", "open_source",
    "resolve_schema",
]  # fmt: skip
