"""Memory of the process: freed memory is kept for the next step's temporaries, and the peak is measured.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock

SWITCH = "AUTOMTL_KEEP_MEMORY"  # set to 0 to leave the allocator alone
MMAP_MAX, TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -4, -1, -2, -3  # options of mallopt(3)
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20}
# There is no way to ask for the values before. These are glibc's own once a block of 32 MiB has been freed, up to which
# it raises both thresholds by itself until one of the options is set.
USUAL = {MMAP_MAX: 65_536, TRIM_THRESHOLD: 64 * 2**20, TOP_PAD: 128 * 2**10, MMAP_THRESHOLD: 32 * 2**20}
VARIABLES = {  # by which a user sets an option for a process
    MMAP_MAX: "MALLOC_MMAP_MAX_", TRIM_THRESHOLD: "MALLOC_TRIM_THRESHOLD_", TOP_PAD: "MALLOC_TOP_PAD_",
    MMAP_THRESHOLD: "MALLOC_MMAP_THRESHOLD_",
}  # fmt: skip
TOO_LITTLE = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")  # in errors of torch
_lock, _depth = Lock(), 0


@contextmanager
def keep_freed_memory(wanted: bool = True) -> Iterator[bool]:
    """Let the allocator of this process keep freed memory in this block, if `wanted`; yields whether it does.

    Only glibc can. Its usual behaviour is back, and free memory returned to the system, at the end of the outermost
    such block of all threads, which takes 0.1 ms or more: short calculations do without.
    """
    global _depth
    mallopt = c_function("mallopt") if wanted and os.environ.get(SWITCH) != "0" else None
    if mallopt is None:
        yield False
        return
    with _lock:
        _depth += 1
        kept = _depth > 1 or {mallopt(option, value) for option, value in KEEPING.items()} == {1}
    try:
        yield kept
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                for option, value in USUAL.items():
                    mallopt(option, int(os.environ.get(VARIABLES[option], value)))
                ctypes.CDLL(None).malloc_trim(0)


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory does not suffice: Python's, torch's of a device, or of its allocator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(one in str(error) for one in TOO_LITTLE)


@cache
def c_function(name: str) -> Callable[..., int] | None:
    """Find a function of the C library of a Linux system; None elsewhere, or where the library lacks it."""
    try:
        return getattr(ctypes.CDLL(None), name) if sys.platform.startswith("linux") else None
    except (OSError, AttributeError):  # another C library
        return None


def forget_peak() -> None:
    """Give free memory back and let `peak_memory_bytes` count from now on (Linux with glibc; elsewhere nothing)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak of the resident size
    except (OSError, AttributeError):
        return


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process, since its start or `forget_peak`."""
    try:
        (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return int(kibibytes) * 1024
    except (OSError, ValueError):
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size if sys.platform == "darwin" else size * 1024
