"""Nothing is made on the wrong device, and no step waits for a card. Runs without one: see tests/device.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automtl.operations import OPERATIONS
from tests.device import CASES, EACH


@pytest.fixture(scope="module")
def failures() -> dict[str, str | None]:
    """Return what is wrong by case, from a process of its own: torch learns of devices before its first step."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.device"], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", CASES)
def test_it_stays_on_its_device_and_does_not_wait(case: str, failures: dict[str, str | None]) -> None:
    assert failures[case] is None, failures[case]


def test_every_kind_of_operation_is_run() -> None:
    assert set(EACH) == set(OPERATIONS.members().values())
