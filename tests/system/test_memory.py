"""What freed memory costs to take again, in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FILLED = """
import resource, torch
from automtl.system.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.empty(2**24).fill_(1.0)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024

before = resident()
with keep_freed_memory() as kept:
    with keep_freed_memory():
        faults()
    inside, kept_megabytes = faults(), resident() - before
print(int(kept), inside, faults(), kept_megabytes, resident() - before)
"""


def run(switch: str) -> list[int]:
    made = subprocess.run(
        [sys.executable, "-c", FILLED], env=os.environ | {"AUTOMTL_KEEP_MEMORY": switch}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return [int(value) for value in made.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_large_temporaries_are_faulted_in_once_and_after_the_block_each_time() -> None:
    kept, inside, after, kept_megabytes, left = run("1")
    if not kept:
        pytest.skip("this C library has no mallopt")
    off, without, *_ = run("0")
    assert not off
    assert inside < without / 4  # the latter: ten times 64 MiB, by the page
    assert after > 0.9 * without
    assert left < kept_megabytes / 4
