"""The events of a served model become part of its folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from automtl.ensemble.saved_model import rewrite_encoder
from automtl.histories.state import moment
from automtl.predictor import Predictor
from automtl.serving.online.online import OnlineHistories
from automtl.system.files import changing


@dataclass(frozen=True)
class Updated:
    """The time of the newest event that a folder knows now, and how many events may still change."""

    newest: str
    open: int


def update_from_events(folder: Path | str, where: Path | str, *, out: Path | str | None = None) -> Updated:
    """Write a saved model with the histories after all events of a store.

    The folder, or `out` in its place, then says without the store what the server says with it. The store keeps a
    snapshot and what may still change; servers may run meanwhile, and may begin again with either folder. Raises an
    AutomtlError as `OnlineHistories.open` does.
    """
    with changing(Path(folder)):
        return _updated(Path(folder), where, Path(out or folder))


def _updated(folder: Path, where: Path | str, out: Path) -> Updated:
    predictor = Predictor.load(folder)
    with OnlineHistories.open(where, predictor) as online:
        histories = predictor.encoder.histories
        assert histories is not None
        updated = replace(histories, state=online.state())
        rewrite_encoder(folder, replace(predictor.encoder, histories=updated), out)
        online.save(updated)
        return Updated(moment(updated.state.newest), online.open_events)
