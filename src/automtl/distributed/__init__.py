"""The same on many machines: processes on the nodes of a Ray cluster."""
