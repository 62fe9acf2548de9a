"""A tracker for MLflow, which writes files into a folder or to a server that the user names.

MLflow 3 keeps files only on request and reports its use over the network by default: both are set here before it is
imported, unless the user's environment sets them.
"""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a server that is down must not delay a fit
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from automtl.system.progress import Progress
from automtl.trackers.base import Tracked, Tracker, curves, numbers, parameters

EXPERIMENT = "automtl"
BATCH = 100  # most parameters in one call of MLflow
LONGEST = 500  # most letters of a parameter that every store of MLflow takes


class MLflow(Tracker):
    """Records settings as parameters, curves, final metrics and an architecture file in experiment `automtl`."""

    def __init__(self, run: Tracked) -> None:
        uri = run.uri or os.environ.get("MLFLOW_TRACKING_URI") or (run.folder / "mlflow").absolute().as_uri()
        self.client = MlflowClient(tracking_uri=uri)
        found = self.client.get_experiment_by_name(EXPERIMENT)
        experiment = self.client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        self.run = self.client.create_run(experiment, run_name=run.name).info.run_id
        given = [Param(name, value[:LONGEST]) for name, value in parameters(run.settings).items()]
        for start in range(0, len(given), BATCH):
            self.client.log_batch(self.run, params=given[start : start + BATCH])

    def progress(self, progress: Progress) -> None:
        self._log(curves(progress), progress.step)

    def finish(self, metrics: dict[str, Any], architecture: str | None) -> None:
        self._log(numbers(metrics, "final"), 0)
        if architecture is not None:
            self.client.log_text(self.run, architecture, "architecture.txt")

    def close(self, complete: bool) -> None:
        self.client.set_terminated(self.run, "FINISHED" if complete else "FAILED")

    def _log(self, values: dict[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.run, [Metric(name, value, now, step) for name, value in values.items()])
