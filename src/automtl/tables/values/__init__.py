"""Canonical forms of raw values: a value means the same whatever file or type it came from (docs/values.md)."""
