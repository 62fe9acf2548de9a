"""The command line: commands that parse options, call the library and print. Heavy modules are imported when needed.

Each file holds a group of commands; the help lists them in the order of the imports here.
"""

from __future__ import annotations

# isort: off
from automtl.cli.app import app, main
from automtl.cli import fit, compare, prepare, model, predict, drift, refit, serve, forms, export, sign, table, data

# isort: on
__all__ = [
    "app", "compare", "data", "drift", "export", "fit", "forms", "main", "model", "predict", "prepare", "refit",
    "serve", "sign", "table",
]  # fmt: skip
