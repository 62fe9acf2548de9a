"""Let the histories or target encodings of a saved model take in later events, without any training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from automtl.ensemble.saved_model import rewrite_encoder
from automtl.errors import SettingsError
from automtl.features.encoding_update import with_later_rows
from automtl.histories.state import Taken
from automtl.predictor import Predictor
from automtl.system.files import changing
from automtl.tables.table import read_table


def update_model(folder: Path | str, log: Any, *, out: Path | str | None = None) -> Taken:
    """Take the events of a labelled log into the histories of a saved model, or of a copy of it in the folder `out`.

    Events older than the newest one known are late, and events of that very time that are known already are repeated:
    both are left out and counted in the result. A model without histories but with target encodings takes all rows into
    these: it keeps no rows, so that rows given twice count twice. The folder changes completely or not at all, by
    one process at a time. Raises SettingsError for a model without either, or whose histories end with the training
    rows.

    >>> log = automtl.synthetic_log(rows=500, seed=0).with_row_index("moment")
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}, "encoder": {"prune_histories": False}}
    >>> settings = automtl.read_settings(None, quick)
    >>> roles = automtl.ColumnRoles(time="moment")
    >>> run = automtl.fit_table(log[:400], ["click"], roles=roles, settings=settings, out="runs/timed")
    >>> automtl.update_model("runs/timed", log[400:]).events
    100
    """
    with changing(Path(folder)):
        return _updated(Path(folder), log, Path(out or folder))


def _updated(folder: Path, log: Any, out: Path) -> Taken:
    encoder = Predictor.load(folder).encoder
    histories, keys = encoder.histories, tuple(encoder.target_encodings)
    if histories is not None and not histories.plan.frozen:
        later, taken = histories.updated(read_table(log), encoder.vocabularies)
        updated = replace(encoder, histories=later)
    elif histories is None and keys:
        table = read_table(log)
        updated, taken = with_later_rows(encoder, table), Taken(table.height, 0, 0, 0, keys)
    else:
        why = (
            "was fitted without histories and target encodings" if histories is None
            else "has histories that end with its training rows"
        )  # fmt: skip
        raise SettingsError(
            f"the model in '{folder}' {why}, which nothing later changes; 'automtl refit' trains it on new rows"
        )
    rewrite_encoder(folder, updated, out)
    return taken
