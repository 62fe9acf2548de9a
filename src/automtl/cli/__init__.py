"""Arguments in, recipes called, messages out. No logic; heavy modules are imported where a command needs them.

A file holds a group of commands; they join the app, and its help, in the order of the imports here.
"""

from __future__ import annotations

# isort: off
from automtl.cli.app import app, main
from automtl.cli import fit, compare, prepare, model, table, data

# isort: on
__all__ = ["app", "compare", "data", "fit", "main", "model", "prepare", "table"]
