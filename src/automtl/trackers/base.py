"""What every tracker is. Plain values in, files (or a server's records) out."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automtl.system.progress import Progress


@dataclass(frozen=True)
class Tracked:
    """The run that a tracker writes down. `folder`: for its files; `uri`: of its server, where there is one."""

    name: str
    settings: dict[str, Any]
    folder: Path
    uri: str | None = None


class Tracker(ABC):
    """Writes down one run, from its start; what it raises becomes a warning, and the run goes on without it."""

    @abstractmethod
    def __init__(self, run: Tracked) -> None:
        """Begin, with the settings of the run."""

    @abstractmethod
    def progress(self, progress: Progress) -> None:
        """Write down one event that carries a loss."""

    @abstractmethod
    def finish(self, metrics: dict[str, Any], architecture: str | None) -> None:
        """Write down the final metrics, and the architecture as text, where one was searched."""

    @abstractmethod
    def close(self, complete: bool) -> None:
        """End, once, whether the run was `complete` or not."""


def curves(progress: Progress) -> dict[str, float]:
    """Map tags to values: `stage/loss` and `stage/auc/task`, in letters that all tools allow."""
    values = {"loss": progress.loss} | {f"auc/{task}": value for task, value in progress.auc.items()}
    return {tag(f"{progress.stage}/{name}"): value for name, value in values.items() if value is not None}


def numbers(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Collect all numbers of nested values by path, `test/tasks/click/auc`; what is undefined is left out."""
    return {tag(path): float(v) for path, v in _leaves(values, prefix, "/") if isinstance(v, (int, float))}


def parameters(settings: dict[str, Any]) -> dict[str, str]:
    """Collect all settings by path, `training.batch_size`, as text; lists as JSON."""
    found = _leaves(settings, "", ".")
    return {path: v if isinstance(v, str) else json.dumps(v, default=str) for path, v in found}


def tag(name: str) -> str:
    """Reduce a name to letters, digits, `_`, `-`, `.`, `/` and spaces."""
    return re.sub(r"[^\w./ -]+", "", name, flags=re.ASCII)


def _leaves(values: dict[str, Any], prefix: str, separator: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{prefix}{separator}{name}" if prefix else name
        if isinstance(value, dict):
            yield from _leaves(value, path, separator)
        else:
            yield path, value
