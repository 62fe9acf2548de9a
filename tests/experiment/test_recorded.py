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
