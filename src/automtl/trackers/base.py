"""The base class of trackers, which turn plain values into files or a server's records."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automtl.system.progress import Progress

LONGEST = 60  # letters of a part of a tag, of which MLflow takes 250 in all


@dataclass(frozen=True)
class Tracked:
    """The run that a tracker records. `folder`: where it writes files; `uri`: address of its server, if it has one."""

    name: str
    settings: dict[str, Any]
    folder: Path
    uri: str | None = None


class Tracker(ABC):
    """Records one run from its start. An error of a tracker becomes a warning, and the run goes on without it."""

    @abstractmethod
    def __init__(self, run: Tracked) -> None:
        """Begin to record a run, with its settings."""

    @abstractmethod
    def progress(self, progress: Progress) -> None:
        """Record one event that carries a loss."""

    @abstractmethod
    def finish(self, metrics: dict[str, Any], architecture: str | None) -> None:
        """Record the final metrics, and the architecture as text if one was searched."""

    @abstractmethod
    def close(self, complete: bool) -> None:
        """End the record, once, whether the run was `complete` or not."""


def curves(progress: Progress) -> dict[str, float]:
    """Map tags to values: `stage/loss` and `stage/auc/task`, in letters that all tools allow."""
    values = {"loss": progress.loss} | {f"auc/{task}": value for task, value in progress.auc.items()}
    return tagged((f"{progress.stage}/{name}", value) for name, value in values.items() if value is not None)


def numbers(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Collect all numbers of nested values by path, such as `test/tasks/click/auc`."""
    return tagged((path, float(v)) for path, v in _leaves(values, prefix, "/") if isinstance(v, (int, float)))


def parameters(settings: dict[str, Any]) -> dict[str, str]:
    """Collect all settings by path, `training.batch_size`, as text; lists as JSON."""
    found = _leaves(settings, "", ".")
    return {path: v if isinstance(v, str) else json.dumps(v, default=str) for path, v in found}


def tagged(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Map tags to values that are given by path; paths that would have one tag are numbered."""
    found: dict[str, float] = {}
    for path, value in values:
        name, count = tag(path), 1
        while name in found:
            count += 1
            name = f"{tag(path)} {count}"
        found[name] = value
    return found


def tag(path: str) -> str:
    """Reduce the parts of a path to letters, digits, `_`, `-`, `.` and spaces, LONGEST at most; `_` if none is left."""
    parts = [re.sub(r"[^\w. -]+", "", part, flags=re.ASCII)[:LONGEST] for part in path.split("/")]
    return "/".join(part if part.strip(". ") else "_" for part in parts)


def _leaves(values: dict[str, Any], prefix: str, separator: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{prefix}{separator}{name}" if prefix else name
        if isinstance(value, dict):
            yield from _leaves(value, path, separator)
        else:
            yield path, value
