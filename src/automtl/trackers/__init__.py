"""Trackers: each writes down a fit for a tool that draws it."""

from automtl.trackers.base import Tracked, Tracker
from automtl.trackers.group import TRACKERS, TrackerName, Trackers

__all__ = ["TRACKERS", "Tracked", "Tracker", "TrackerName", "Trackers"]
