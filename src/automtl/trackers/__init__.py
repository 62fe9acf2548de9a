"""Trackers: each writes down a fit for a tool that draws it."""

from automtl.trackers.base import Tracked, Tracker
from automtl.trackers.group import Trackers
from automtl.trackers.registry import TRACKERS

__all__ = ["TRACKERS", "Tracked", "Tracker", "Trackers"]
