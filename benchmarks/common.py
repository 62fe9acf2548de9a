"""What all benchmarks share: timing in turns, the machine's ceilings, one line of JSON at the end."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

import automtl


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, run in turn so that a drift of the machine's speed meets all alike; one warm-up each."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - start)
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


def report(name: str, figures: Mapping[str, Any]) -> None:
    """Print figures with what they hang on, as the last line."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {
        "benchmark": name,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "commit": commit.stdout.strip(),
        "versions": {"automtl": automtl.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    print(json.dumps(about | dict(figures)))
