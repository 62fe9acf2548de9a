"""What freed memory costs to take again, in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FILLED = """
import resource, torch
from automtl.system.memory import keep_freed_memory

def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.empty(megabytes * 2**18).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024

before = resident()
with keep_freed_memory() as kept:
    with keep_freed_memory():
        faults(64)
    inside, kept_megabytes = faults(64), resident() - before
left = resident() - before
print(int(kept), inside, kept_megabytes, left, faults(128))  # the last: more than a free block of the heap can hold
"""


def run(switch: str) -> list[int]:
    made = subprocess.run(
        [sys.executable, "-c", FILLED], env=os.environ | {"AUTOMTL_KEEP_MEMORY": switch}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return [int(value) for value in made.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_large_temporaries_are_faulted_in_once_and_after_the_block_each_time() -> None:
    kept, inside, kept_megabytes, left, after = run("1")
    if not kept:
        pytest.skip("this C library has no mallopt")
    off, without, *_, larger = run("0")
    assert not off
    assert inside < without / 4  # the latter: ten times 64 MiB, by the page
    assert left < kept_megabytes / 4
    assert after > 0.9 * larger
