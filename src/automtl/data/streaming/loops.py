"""Which loops over rows are used: compiled ones where numba is installed (`pip install 'automtl[fast]'`), or numpy."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

SWITCH = "AUTOMTL_COMPILED"  # set to 0 to do without

try:
    _found: Any = import_module("automtl.data.streaming.compiled")
except ImportError:  # numba is not installed, or does not work with this numpy
    _found = None


def compiled() -> Any:
    """The module `compiled`; None where numba is not there, or is not wanted."""
    return None if os.environ.get(SWITCH) == "0" else _found
