"""All trackers by name, and those of one run as one callback."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from automtl.errors import SettingsError
from automtl.system.progress import Callback, Event, Progress
from automtl.system.registry import Registry, subclass_of
from automtl.trackers.base import Tracked, Tracker

TRACKERS: Registry[type[Tracker]] = Registry(
    "tracker",
    {"tensorboard": "automtl.trackers.tensorboard:TensorBoard", "mlflow": "automtl.trackers.mlflow:MLflow"},
    subclass_of("automtl.trackers.base:Tracker"),
    "a subclass of automtl.trackers.Tracker",
    SettingsError,
    extras={"tensorboard": "tensorboard", "mlflow": "mlflow"},
)


class Trackers:
    """Runs several trackers as one context and callback; `callback` gets each event, too.

    A tracker that fails is dropped with a warning. Raises SettingsError only if one is unknown or not installed.
    """

    def __init__(self, names: Sequence[str], run: Tracked, callback: Callback) -> None:
        self.forward = callback
        self.running: dict[str, Tracker] = {}
        self.complete = False
        kinds = {name: TRACKERS.find(name) for name in names}
        for name in kinds:
            try:
                self.running[name] = kinds[name](run)
            except Exception as error:
                _warn_dropped(name, error)

    def __enter__(self) -> Trackers:
        return self

    def __exit__(self, *error: object) -> None:
        self._call(lambda tracker: tracker.close(self.complete))

    def callback(self, event: Event) -> None:
        """Forward every event and record progress."""
        self.forward(event)
        if isinstance(event, Progress) and event.loss is not None:
            self._call(lambda tracker: tracker.progress(event))

    def finish(self, metrics: dict[str, Any], architecture: str | None) -> None:
        """Record the final metrics of a complete run."""
        self._call(lambda tracker: tracker.finish(metrics, architecture))
        self.complete = True

    def _call(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.running.items()):
            try:
                act(tracker)
            except Exception as error:
                del self.running[name]
                _warn_dropped(name, error)


def _warn_dropped(name: str, error: Exception) -> None:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    warnings.warn(f"tracker '{name}' stopped: {reason}; the fit goes on without it", stacklevel=4)
