"""Memory that is freed stays with the process, so that the next step's temporaries find it warm.

The GNU C library gives large blocks back to the system at once, and every new one then costs a page fault per 4 KiB:
filling 64 MiB of fresh memory takes up to nine times as long as filling the same memory again. Training allocates the
same large temporaries in every step, encoding in every slice.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from functools import cache
from pathlib import Path

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of mallopt(3)
SWITCH = "AUTOMTL_KEEP_MEMORY"  # set to 0 to leave the allocator alone


@cache
def keep_freed_memory() -> bool:
    """Tell the allocator of this process not to return freed blocks; whether it was told (glibc only)."""
    if not sys.platform.startswith("linux") or os.environ.get(SWITCH) == "0":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    wanted = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 64 * 2**20}
    return {mallopt(option, value) for option, value in wanted.items()} == {1}


def forget_peak() -> None:
    """Give free memory back and let `peak_memory_bytes` count from now on (Linux with glibc; elsewhere nothing)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak of the resident size
    except (OSError, AttributeError):
        return


def peak_memory_bytes() -> int:
    """The largest resident size of this process, since its start or `forget_peak`."""
    try:
        (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return int(kibibytes) * 1024
    except (OSError, ValueError):
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size if sys.platform == "darwin" else size * 1024
