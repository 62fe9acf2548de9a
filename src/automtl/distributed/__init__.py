"""Processes on the nodes of a Ray cluster do the work that those of one machine do."""
