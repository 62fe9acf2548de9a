"""The command line: commands that parse options, call the library and print. Heavy modules are imported when needed.

Each file holds a group of commands; the help lists them in the order of the imports here.
"""

from __future__ import annotations

# isort: off
from automtl.cli.app import app, main
from automtl.cli import fit, compare, prepare, model, serve, table, data

# isort: on
__all__ = ["app", "compare", "data", "fit", "main", "model", "prepare", "serve", "table"]
