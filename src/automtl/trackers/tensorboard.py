"""A tracker for TensorBoard, shown by `tensorboard --logdir runs/tracking/tensorboard`."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from automtl.system.progress import Progress
from automtl.trackers.base import Tracked, Tracker, curves, numbers

FLUSH_SECONDS = 10


class TensorBoard(Tracker):
    """Records curves by stage, final metrics as single points, settings and architecture as text."""

    def __init__(self, run: Tracked) -> None:
        folder = new_folder(run.folder / "tensorboard", run.name)
        self.writer = SummaryWriter(folder, flush_secs=FLUSH_SECONDS)
        self._text("settings", json.dumps(run.settings, indent=1, default=str))

    def progress(self, progress: Progress) -> None:
        for name, value in curves(progress).items():
            self.writer.add_scalar(name, value, progress.step)

    def finish(self, metrics: dict[str, Any], architecture: str | None) -> None:
        for name, value in numbers(metrics, "final").items():
            self.writer.add_scalar(name, value)
        if architecture is not None:
            self._text("architecture", architecture)

    def close(self, complete: bool) -> None:
        self.writer.close()

    def _text(self, name: str, text: str) -> None:
        """Write text as an indented block, so that it is not read as Markdown."""
        self.writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()))


def new_folder(parent: Path, name: str) -> Path:
    """Make the first of the folders `name`, `name-2`, ... that does not exist yet."""
    for number in count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not folder.is_dir():
                raise
    raise AssertionError
