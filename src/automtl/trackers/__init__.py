"""Trackers record a fit for tools that draw it, such as TensorBoard and MLflow."""

from automtl.trackers.base import Tracked, Tracker
from automtl.trackers.group import TRACKERS, Trackers

__all__ = ["TRACKERS", "Tracked", "Tracker", "Trackers"]
