"""What all benchmarks share: timing in turns, the machine's ceilings, one line of JSON at the end.

A benchmark is a script: `main()` reads its arguments with `arguments`, prints lines for people and ends in `report`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import automtl
from automtl.errors import AutomtlError

HERE = Path(__file__).parent


class Seconds(float):
    """What a run returns that has timed itself, such as a worker process, which leaves out the pipe to it."""


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Seconds of each, run in turn so that a drift of the machine's speed meets all alike; `warm`: one more before.

    A run that returns `Seconds` is taken at its word.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values() if warm else ():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            told = run()
            seconds = time.perf_counter() - start
            found[name].append(told if isinstance(told, Seconds) else seconds)
    return found


def ratio(slow: list[float], fast: list[float]) -> float:
    """The median of the ratios round by round."""
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 2)


def matrix_ceiling(size: int = 2048, tries: int = 5) -> float:
    """FLOP a second of the best of some large products, by all threads."""
    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    times = in_turns({"product": lambda: torch.mm(a, b, out=out)}, tries)["product"]
    return 2 * size**3 / min(times)


def memory_ceiling(megabytes: int = 512, tries: int = 5) -> float:
    """Bytes a second, read and written, of a copy that no cache holds."""
    a = torch.ones(megabytes * 2**20 // 4)
    out = torch.empty_like(a)
    times = in_turns({"copy": lambda: out.copy_(a)}, tries)["copy"]
    return 2 * a.numel() * 4 / min(times)


def arguments(description: str | None = None) -> argparse.ArgumentParser:
    """A parser that knows `--out`, the file the line of JSON also goes to."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write the line of JSON to this file")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a benchmark that reads a table: a user's mistake is one line and exit code 2, as of the command."""
    try:
        main()
    except AutomtlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def report(name: str, figures: Mapping[str, Any], out: Path | None = None, packages: Sequence[str] = ()) -> None:
    """Print figures with what they hang on, as the last line; write it to `out` or $BENCHMARK_OUT, too.

    packages: names of further distributions whose versions matter.
    """
    out = out or (Path(os.environ["BENCHMARK_OUT"]) if "BENCHMARK_OUT" in os.environ else None)
    about = {"benchmark": name, "machine": machine(), "commit": commit(), "versions": versions(packages)}
    line = json.dumps(about | dict(figures), allow_nan=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(line + "\n", encoding="utf-8")
    sys.stdout.flush()
    print(line, flush=True)


def versions(packages: Sequence[str] = ()) -> dict[str, str]:
    """Of this package, torch, Python and `packages`."""
    fixed = {"automtl": automtl.__version__, "torch": torch.__version__, "python": platform.python_version()}
    return fixed | {package: version(package) for package in packages}


def machine() -> str:
    """The processor's model, its cores and the threads torch uses."""
    return f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """The short commit; `+` marks a working copy whose library or benchmarks differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks/*.py")
    return head + ("+" if changed else "")


def _git(*command: str) -> str:
    done = subprocess.run(["git", *command], capture_output=True, text=True, check=False, cwd=HERE.parent)
    return done.stdout.strip()
