"""The leaderboard of a fit: every trained model with its quality, its cost and its share in the final scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automtl.ensemble.saved_model import read_part
from automtl.errors import FileError
from automtl.system.manifest import MODEL
from automtl.system.progress import Event
from automtl.system.signature import is_required

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Ranked(Event):
    """The models that a fit has trained so far. `rows`: those of `history.json["leaderboard"]`, without test rows."""

    rows: Sequence[Row]


def read_leaderboard(folder: Path | str) -> list[dict[str, Any]]:
    """Read the leaderboard of a run folder, best first. Raises FileError where the fit wrote none."""
    if not Path(folder).is_dir():
        raise FileError(f"run '{folder}' does not exist; check the path")
    if is_required():
        MODEL.verify(Path(folder))
    found: list[dict[str, Any]] | None = read_part(folder, "history").get("leaderboard")
    if not found:
        raise FileError(
            f"run '{folder}' has no leaderboard: it has one model alone, or an earlier version of automtl wrote it; "
            f"see the model with: automtl inspect {folder}"
        )
    return found
