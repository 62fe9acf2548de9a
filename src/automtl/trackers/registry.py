"""All trackers, by short name or import path."""

from __future__ import annotations

from automtl.errors import SettingsError
from automtl.system.registry import Registry, subclass_of
from automtl.trackers.base import Tracker

TRACKERS: Registry[type[Tracker]] = Registry(
    "tracker",
    {"tensorboard": "automtl.trackers.tensorboard:TensorBoard", "mlflow": "automtl.trackers.mlflow:MLflow"},
    subclass_of("automtl.trackers.base:Tracker"),
    "a subclass of automtl.trackers.Tracker",
    SettingsError,
    extras={"tensorboard": "tensorboard", "mlflow": "mlflow"},
)
