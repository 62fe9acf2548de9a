"""Processes that end with the one that has started them, however that ends."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable
from functools import cache

END_WITH_PARENT = 1  # of prctl, on Linux


@cache
def ends_with_parent() -> Callable[[], None] | None:
    """Return the `preexec_fn` of a child that ends with its parent; None where there is none, as only Linux can.

    All that it needs is loaded before the child is made.
    """
    if sys.platform != "linux":
        return None
    control = ctypes.CDLL(None).prctl
    return lambda: control(END_WITH_PARENT, signal.SIGKILL) and None
