"""Random round trips: `python -m tests.forms [COUNT] [--seed N] [--parts]` counts them and shows each difference."""

from __future__ import annotations

import argparse
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from tests.forms.law import Outcome, parted, round_trip


def main() -> None:
    """Run round trips and print their outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", action="store_true", help="tables cut into parts of several forms, and prepared")
    parser.add_argument("--show", type=int, default=20, help="differences that are shown")
    given = parser.parse_args()
    outcomes: Counter[str] = Counter()
    for seed in range(given.seed, given.seed + given.count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome, shown = (parted if given.parts else round_trip)(seed, Path(folder))
            except Exception:
                outcome, shown = Outcome("different"), traceback.format_exc()
        outcomes[outcome.kind] += 1
        if outcome.kind == "different" and outcomes["different"] <= given.show:
            print(f"--- seed {seed}\n{shown}", flush=True)
    print(", ".join(f"{outcomes[kind]} {kind}" for kind in ("equal", "refused", "different")))
    raise SystemExit(outcomes["different"] > 0)


if __name__ == "__main__":
    main()
