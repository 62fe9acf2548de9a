"""Prepared tables: what the folder holds, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from automtl.dataset.prepared import Origin, PreparedFolder, finish_prepared, is_prepared, write_prepared
from automtl.dataset.store import Store, slices
from automtl.errors import FileError
from automtl.features.batch import Batch
from automtl.features.column_selection import select_task_rows, select_tasks, without_target_encoding
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.system.manifest import checksum
from automtl.tables.infer import infer_schema
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings, split_table
from tests.conftest import TASKS

ORIGIN = Origin({"files": [{"name": "log.parquet", "rows": 1500}]}, SplitSettings(), 0)


@dataclass(frozen=True)
class Made:
    """A table's schema, its encoder and its encoded parts."""

    schema: Schema
    encoder: Encoder
    parts: dict[str, Batch]

    def write(self, folder: Path, size: int = 400) -> PreparedFolder:
        return write_prepared(
            folder, self.encoder, {name: slices(rows, size) for name, rows in self.parts.items()}, ORIGIN, {"nulls": 3}
        )


def make(log: pl.DataFrame, schema: Schema, settings: EncoderSettings) -> Made:
    split = split_table(log, schema, SplitSettings(), 0)
    encoder, train = Encoder.fit(split.train, schema, settings, 0)
    return Made(
        schema, encoder, {"train": train, "valid": encoder.encode(split.valid), "test": encoder.encode(split.test)}
    )


@pytest.fixture(scope="module")
def made(log: pl.DataFrame) -> Made:
    schema = infer_schema(log, TASKS, group="user_id")
    schema = replace(schema, target_encoding=(("user_id",), ("item_id", "device")))
    return make(log, schema, EncoderSettings(min_count=2))


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    return made.write(tmp_path / "rows").folder


def equal(found: Batch, expected: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found.tensors, expected.tensors, strict=True))


def state(encoder: Encoder) -> tuple[str, dict[str, bytes]]:
    values, arrays = encoder.to_state()
    return json.dumps(values), {name: array.tobytes() for name, array in arrays.items()}


def test_a_folder_gives_back_rows_encoder_schema_origin_and_report(made: Made, tmp_path: Path) -> None:
    written = made.write(tmp_path / "rows")
    found = PreparedFolder.open(written.folder)
    assert is_prepared(written.folder) and is_prepared(str(written.folder))
    assert not is_prepared(tmp_path) and not is_prepared(made)
    assert found.schema == made.schema
    assert found.encoder.layout == made.encoder.layout
    assert state(found.encoder) == state(made.encoder)
    assert found.origin == ORIGIN and found.report == {"nulls": 3}
    assert found.num_rows == {name: len(rows) for name, rows in made.parts.items()}
    for name, rows in made.parts.items():
        assert equal(found.rows(name), rows)
    assert found.rows("train").buffer_rows is None
    assert found.rows("train", 10_000).buffer_rows is not None
    found.verify()


def test_equal_rows_make_equal_folders_however_they_are_cut_and_put_together(made: Made, tmp_path: Path) -> None:
    made.write(tmp_path / "a", 1000)
    made.write(tmp_path / "b", 33)
    for name, rows in made.parts.items():
        Store.write(tmp_path / "working" / name, [rows], made.encoder.layout)
    finish_prepared(tmp_path / "working", tmp_path / "c", made.encoder, ORIGIN, {"nulls": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    for other in ("b", "c"):
        assert all((tmp_path / other / name).read_bytes() == (tmp_path / "a" / name).read_bytes() for name in files)


def test_rows_without_rates_are_those_of_an_encoder_fitted_without(made: Made, log: pl.DataFrame, folder: Path) -> None:
    fitted = make(log, made.schema, EncoderSettings(min_count=2, target_encoding=False))
    found = PreparedFolder.open(folder)
    plain = without_target_encoding(found.encoder)
    assert plain.layout == fitted.encoder.layout and state(plain) == state(fitted.encoder)
    for name, rows in fitted.parts.items():
        kept = found.rows(name, settings=fitted.encoder.settings)
        assert equal(kept, rows)
        assert kept.features.numeric.shape[1] < found.rows(name).features.numeric.shape[1]


@pytest.mark.parametrize("names", [("buy",), ("cart", "click"), ("click", "like", "cart")])
def test_rows_of_some_tasks_are_those_of_an_encoder_fitted_for_them(
    made: Made, log: pl.DataFrame, names: tuple[str, ...]
) -> None:
    known = {task.name: task for task in made.schema.tasks}
    schema = replace(made.schema, tasks=tuple(known[name] for name in names))
    fitted = make(log, schema, made.encoder.settings)
    narrowed = select_tasks(made.encoder, schema)
    assert narrowed.layout == fitted.encoder.layout and state(narrowed) == state(fitted.encoder)
    for name, rows in fitted.parts.items():
        assert equal(select_task_rows(made.parts[name], made.encoder, schema), rows)


def change(name: str, **values: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return apply


def bend_findings(folder: Path) -> None:
    change("report.json", findings="none")(folder)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change("manifest.json", files=files | {"report.json": checksum(folder / "report.json")})(folder)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda folder: shutil.rmtree(folder), "does not exist; check the path"),
    "unfinished": (lambda folder: (folder / "manifest.json").unlink(), "writing it was interrupted"),
    "text": (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read .* prepare the table again"),
    "another kind": (change("manifest.json", kind="else"), "is not written by automtl"),
    "another format": (change("manifest.json", format=99, automtl="9.9"), "has format 99.* reads 3; use automtl"),
    "another byte order": (change("manifest.json", byte_order="odd"), "another byte order"),
    "no settings": (change("manifest.json", split={"method": "moon"}), "is damaged .* prepare the table again"),
    "no checksums": (change("manifest.json", files={}), "is damaged .* prepare the table again"),
    "findings that are a text": (bend_findings, "is damaged .*Finding.* prepare the table again"),
    "other encoder": (change("encoder.json", newest={"a": 1}), r"encoder.json' was changed or damaged"),
    "other rows": (change("test/manifest.json", rows=1), r"test/manifest.json' was changed or damaged"),
    "lost file": (lambda folder: (folder / "schema.yaml").unlink(), "schema.yaml' is missing"),
    "lost rows": (lambda folder: (folder / "train" / "labels.bin").unlink(), "labels.bin' is missing"),
    "cut rows": (lambda folder: (folder / "train" / "labels.bin").write_bytes(b""), "labels.bin' is truncated"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_refused_with_what_is_wrong_and_what_to_do(folder: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(FileError, match=message):
        PreparedFolder.open(folder)


def test_a_changed_array_is_found_by_verify(folder: Path) -> None:
    path = folder / "valid" / "weight.bin"
    path.write_bytes(bytes(path.stat().st_size))
    found = PreparedFolder.open(folder)
    with pytest.raises(FileError, match="weight.bin' was changed or damaged.*prepare the table again"):
        found.verify()


def test_what_cannot_be_written_leaves_nothing(made: Made, folder: Path) -> None:
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(FileError, match="exists and is not empty; choose another --out"):
        made.write(folder)
    assert (folder / "manifest.json").read_bytes() == before
    empty = replace(made, parts=made.parts | {"valid": made.parts["valid"].take(slice(0, 0))})
    with pytest.raises(FileError, match="leaves no valid rows"):
        empty.write(folder.parent / "other")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
