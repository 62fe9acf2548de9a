from __future__ import annotations

import os
import subprocess
import sys

import pytest

FILLED = """
import resource, torch
from automtl.system.memory import keep_freed_memory
print(keep_freed_memory())
for _ in range(10):
    torch.empty(2**24).fill_(1.0)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.empty(2**24).fill_(1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(switch: str) -> tuple[str, int]:
    made = subprocess.run(
        [sys.executable, "-c", FILLED], env=os.environ | {"AUTOMTL_KEEP_MEMORY": switch}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    told, faults = made.stdout.split()
    return told, int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_large_temporaries_are_soon_faulted_in_for_good_and_the_switch_turns_it_off() -> None:
    told, kept = run("1")
    if told == "False":
        pytest.skip("this C library has no mallopt")
    off, returned = run("0")
    assert off == "False"
    assert kept < returned / 4  # the latter: ten times 64 MiB, by the page
