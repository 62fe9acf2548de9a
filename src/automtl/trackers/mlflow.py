"""MLflow: files in a folder, or a server that the user names.

MLflow 3 keeps files only on request, and reports its use over the network unless told not to: both are settled here,
before it is imported. What the user's environment says goes first.
"""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a server that is down must not hold a fit up
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from automtl.system.progress import Progress
from automtl.trackers.base import Tracked, Tracker, curves, numbers, parameters

EXPERIMENT = "automtl"
BATCH = 100  # parameters that MLflow takes at once
LONGEST = 500  # letters of a parameter that every store of MLflow takes


class MLflow(Tracker):
    """A run of the experiment `automtl`: settings as parameters, curves, final metrics, the architecture as a file."""

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
