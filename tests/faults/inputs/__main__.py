"""Random inputs: `python -m tests.faults.inputs --count 100000 --seed 0 [--kind settings]` counts what becomes of them.

Shows each kind of failure once, with the seed that gives it again; the exit code is 1 if there is any. Without --kind,
the count is shared among the kinds by what one of them costs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.inputs.architectures import try_architecture
from tests.faults.inputs.law import Outcome, Try, judged
from tests.faults.inputs.run_folders import try_run_folder
from tests.faults.inputs.schemas import try_schema
from tests.faults.inputs.settings import try_settings
from tests.faults.inputs.tables import try_table

KINDS: dict[str, tuple[Try, float]] = {  # with the share of all inputs
    "settings": (try_settings, 0.40),
    "schemas": (try_schema, 0.28),
    "architectures": (try_architecture, 0.27),
    "tables": (try_table, 0.04),
    "run folders": (try_run_folder, 0.01),
}

TELL_EVERY = 500  # inputs


def campaign(kind: str, count: int, first: int, shown: int = 20) -> tuple[Counter[str], dict[str, str]]:
    """Try so many inputs of a kind; return how many were accepted, refused and broken, and each failure with a seed."""
    outcomes: Counter[str] = Counter()
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            outcome: Outcome = judged(KINDS[kind][0], seed, Path(folder))
            outcomes[outcome.kind] += 1
            if outcome.kind == "broken" and outcome.what not in failures and len(failures) < shown:
                failures[outcome.what] = f"--kind {kind} --seed {seed} --count 1: {outcome.what}"
                print(failures[outcome.what], flush=True)
            if (seed + 1 - first) % TELL_EVERY == 0:
                print(f"  {kind}: {seed + 1 - first:,} tried, {outcomes['broken']:,} broken", flush=True)
    return outcomes, failures


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS))
    given = parser.parse_args()
    broken = 0
    for kind in [given.kind] if given.kind else KINDS:
        count, start = given.count if given.kind else round(given.count * KINDS[kind][1]), time.process_time()
        outcomes, failures = campaign(kind, count, given.seed)
        told = ", ".join(f"{outcomes[name]:,} {name}" for name in ("accepted", "refused", "broken"))
        print(f"{kind}: {told}, {len(failures)} kinds of failure, {time.process_time() - start:.0f} s", flush=True)
        broken += outcomes["broken"]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
