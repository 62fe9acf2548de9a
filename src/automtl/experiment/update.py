"""Let the histories of a saved model take in later events, without any training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from automtl.errors import SettingsError
from automtl.histories.state import Taken
from automtl.predictor import Predictor, rewrite_encoder
from automtl.tables.table import read_table


def update_model(folder: Path | str, log: Any, *, out: Path | str | None = None) -> Taken:
    """Take the events of a labelled log into the histories of a saved model, or of a copy of it in the folder `out`.

    Events older than the newest one known are late, and events of that very time that are known already are repeated:
    both are left out and counted in the result. The folder changes completely or not at all. Raises SettingsError for
    a model without histories, or whose histories end with the training rows.

    >>> log = automtl.synthetic_log(rows=500, seed=0).with_row_index("moment")
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}, "encoder": {"prune_histories": False}}
    >>> settings = automtl.read_settings(None, quick)
    >>> roles = automtl.ColumnRoles(time="moment")
    >>> run = automtl.fit_table(log[:400], ["click"], roles=roles, settings=settings, out="runs/timed")
    >>> automtl.update_model("runs/timed", log[400:]).events
    100
    """
    predictor = Predictor.load(folder)
    histories = predictor.encoder.histories
    if histories is None or histories.plan.frozen:
        why = "was fitted without histories" if histories is None else "has histories that end with its training rows"
        raise SettingsError(f"the model in '{folder}' {why}, which nothing later changes; fit again to use new rows")
    updated, taken = histories.updated(read_table(log), predictor.encoder.vocabularies)
    rewrite_encoder(Path(folder), replace(predictor.encoder, histories=updated), Path(out or folder))
    return taken
