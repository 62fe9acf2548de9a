"""Histories: what earlier rows of a log know about a row, point in time."""
