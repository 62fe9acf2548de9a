"""automtl: search, train and prove a multi-task recommendation model for a table of logged behaviour.

    >>> import automtl
    >>> log = automtl.synthetic_log(rows=1000, seed=0)
    >>> schema = automtl.infer_schema(log, ["click", "buy"])
    >>> schema.task_names
    ('click', 'buy')

Every public name is listed here; what is not may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from automtl._version import __version__

if TYPE_CHECKING:
    from automtl.comparison.compare import ComparisonSettings, compare_table
    from automtl.config import Settings, read_settings
    from automtl.errors import AutomtlError, DataWarning
    from automtl.estimator import AutoMTL
    from automtl.experiment import Experiment, check_table, fit_table
    from automtl.experiment.distill import distill
    from automtl.experiment.explanation import explain
    from automtl.experiment.freshness import freshness
    from automtl.experiment.prepare import prepare_table
    from automtl.experiment.refit import refit_model
    from automtl.experiment.update import update_model
    from automtl.features.encoder import Encoder
    from automtl.operations import Operation
    from automtl.paper import reproduce
    from automtl.predictor import Predictor
    from automtl.search import SearchResult, SearchStrategy
    from automtl.serving.drift.drift import drift
    from automtl.serving.scoring.predict import predict_table
    from automtl.space import Architecture, SearchSpace
    from automtl.system.progress import Event, Progress
    from automtl.tables.catalog.base import Dataset
    from automtl.tables.columns import ColumnRoles
    from automtl.tables.infer import infer_schema
    from automtl.tables.schema import Schema, Task
    from automtl.tables.synthetic import synthetic_log
    from automtl.tables.table import read_table
    from automtl.training.metrics import Metric

_MODULES = {
    "Architecture": "space",
    "AutoMTL": "estimator",
    "AutomtlError": "errors",
    "ColumnRoles": "tables.columns",
    "ComparisonSettings": "comparison.compare",
    "DataWarning": "errors",
    "Dataset": "tables.catalog.base",
    "Encoder": "features.encoder",
    "Event": "system.progress",
    "Experiment": "experiment",
    "Metric": "training.metrics",
    "Operation": "operations",
    "Predictor": "predictor",
    "Progress": "system.progress",
    "Schema": "tables.schema",
    "SearchResult": "search",
    "SearchSpace": "space",
    "SearchStrategy": "search",
    "Settings": "config",
    "Task": "tables.schema",
    "check_table": "experiment",
    "compare_table": "comparison.compare",
    "distill": "experiment.distill",
    "drift": "serving.drift.drift",
    "explain": "experiment.explanation",
    "fit_table": "experiment",
    "freshness": "experiment.freshness",
    "infer_schema": "tables.infer",
    "predict_table": "serving.scoring.predict",
    "prepare_table": "experiment.prepare",
    "read_settings": "config",
    "read_table": "tables.table",
    "refit_model": "experiment.refit",
    "reproduce": "paper",
    "synthetic_log": "tables.synthetic",
    "update_model": "experiment.update",
}

__all__ = [
    "Architecture", "AutoMTL", "AutomtlError", "ColumnRoles", "ComparisonSettings", "DataWarning", "Dataset", "Encoder",
    "Event", "Experiment", "Metric", "Operation", "Predictor", "Progress", "Schema", "SearchResult", "SearchSpace",
    "SearchStrategy", "Settings", "Task", "__version__", "check_table", "compare_table", "distill", "drift",
    "explain", "fit_table", "freshness", "infer_schema", "predict_table", "prepare_table", "read_settings",
    "read_table", "refit_model", "reproduce", "synthetic_log", "update_model",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import automtl` stays quick."""
    if name not in _MODULES:
        raise AttributeError(f"module 'automtl' has no attribute '{name}'")
    return getattr(import_module(f"automtl.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
