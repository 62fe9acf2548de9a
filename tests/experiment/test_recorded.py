"""A run folder records the settings and the table of its fit, which open its rows again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from automtl.config import Settings
from automtl.errors import FileError, SettingsError
from automtl.experiment.recorded import RecordedFit
from automtl.experiment.refit import read_refusals
from automtl.tables.infer import infer_schema
from automtl.tables.table import table_digest


def recorded(folder: Path, table: Any) -> RecordedFit:
    told = {} if table is None else {"table": table}
    (folder / "settings.json").write_text(json.dumps(Settings().to_dict() | {"seed": 3} | told))
    return RecordedFit.read(folder)


def test_settings_and_seed_are_read_with_a_table_and_without(tmp_path: Path) -> None:
    for table in (None, {"path": "log.parquet", "digest": "12"}):
        found = recorded(tmp_path, table)
        assert (found.settings, found.seed) == (Settings(), 3)


def test_the_recorded_table_is_opened_or_its_absence_is_told(tmp_path: Path, log: pl.DataFrame) -> None:
    path, schema = tmp_path / "log.parquet", infer_schema(log, ["click"])
    log.write_parquet(path)
    with pytest.raises(SettingsError, match="does not record its table"):
        recorded(tmp_path, None).open(None, schema)
    with pytest.raises(FileError, match="is gone"):
        recorded(tmp_path, {"path": str(tmp_path / "none.parquet"), "digest": ""}).open(None, schema)
    with pytest.raises(SettingsError, match="not the table"):
        recorded(tmp_path, {"path": str(path), "digest": "other"}).open(None, schema)
    source = recorded(tmp_path, {"path": str(path), "digest": table_digest(log)}).open(None, schema)
    assert sum(source.num_rows.values()) == log.height
    assert recorded(tmp_path, None).open(log, schema).num_rows == source.num_rows


def use(folder: Path, **parts: Any) -> None:
    """Look up what a distillation and a refit look up, in a run with these values."""
    for name, values in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    found = RecordedFit.read(folder)
    found.part("metrics")
    found.part("curves")
    found.training_of("one")
    read_refusals(folder)


SETTINGS = {**Settings().to_dict(), "seed": 3}
RIGHT: dict[str, Any] = {
    "settings": SETTINGS, "metrics": {"test": {"tasks": {"click": {"log_loss": 0.5}}}, "more": 1},
    "history": {"leaderboard": [{"name": "one", "settings": {"learning_rate": 0.5}}]},
    "curves": {"labels": {"test": {"click": {"mean": 0.5}}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("settings", [], "settings.json' holds no settings of a fit; "),
        ("settings", SETTINGS | {"table": 5}, "settings.json' holds no settings of a fit; "),
        ("settings", SETTINGS | {"seed": "3"}, "settings.json': seed '3' is no whole number from 0 to"),
        ("settings", SETTINGS | {"training": 5}, "settings.json': setting 'training'"),
        ("metrics", {"test": {"tasks": []}}, "metrics.json' cannot be used .entry 'test.tasks': "),
        ("history", {"leaderboard": [{}]}, "history.json' cannot be used .entry 'leaderboard.0.name': Field required"),
        ("history", {"leaderboard": [{"name": "one", "seconds": "x"}]}, "entry 'leaderboard.0.seconds'"),
        ("history", {"leaderboard": [{"name": "one", "settings": {"learning_rate": -1}}]}, "a wrong setting of 'one'"),
        ("curves", {"labels": {"test": {"click": {"mean": "x"}}}}, "entry 'labels.test.click.mean'"),
        ("refits", {}, "refits.json' holds no list of refits; remove it"),
    ],
)
def test_values_of_a_run_that_cannot_be_are_refused_by_the_file(
    name: str, values: Any, said: str, tmp_path: Path
) -> None:
    use(tmp_path, **RIGHT)
    with pytest.raises((FileError, SettingsError), match=said):
        use(tmp_path, **RIGHT | {name: values})
