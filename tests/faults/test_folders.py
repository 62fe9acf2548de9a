"""Model folders that somebody has changed who wants to harm: a short form of `python -m tests.faults.folders`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.numpy import load, save

from automtl.errors import FileError
from automtl.predictor import Predictor
from automtl.system.manifest import MANIFEST, checksums
from tests.faults.folders import Outcome, judged, outcomes, scores_of
from tests.faults.small_models import table, untrained


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return table(200).head(30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("faults") / "model")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_changed_folders_are_refused_by_name_or_have_finite_scores(
    model: Path, rows: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = scores_of(Predictor.load(model), rows)

    def judge(name: str, folder: Path) -> Outcome:
        return Outcome(*judged(folder, rows, expected))

    found = outcomes({"model": model}, range(30), 0, tmp_path / "model", judge)
    assert sum(found.values()) == 30 and found["refused"] > 10
    assert not any(Outcome(kind).wrong for kind in found), capsys.readouterr().out


def changed(model: Path, folder: Path, name: str, content: bytes) -> Path:
    """Copy a model with one file changed, and a checksum that fits."""
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(content if path.name == name else path.read_bytes())
    if name != MANIFEST:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        manifest["files"] |= checksums(folder, [name])
        (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def with_values(model: Path, folder: Path, name: str, *place: Any, value: Any) -> Path:
    """Copy a model with another value at a place of a JSON file."""
    values = json.loads((model / name).read_bytes())
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed(model, folder, name, json.dumps(values).encode())


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("encoder.json", ("scalers", "price", "edges", 0), 10**400, "scaler of 'price'"),
        ("encoder.json", ("scalers", "hour", "mean"), "x", "scaler of 'hour'"),
        ("encoder.json", ("scalers", "hour", "std"), float("nan"), "scaler of 'hour'"),
        ("encoder.json", ("scalers",), {}, "list of scalers"),
        ("encoder.json", ("newest", "seen"), float("inf"), "newest time"),
        ("encoder.json", ("hashed",), {"item_id": -5}, "vocabulary of 'item_id'"),
        ("encoder.json", ("hashed",), {"item_id": 2**31}, "vocabulary of 'item_id'"),
        ("encoder.json", ("hashed",), {"item_id": 2**30}, "larger than its weights"),
        ("encoder.json", ("target_encoding", 0, "smoothing"), -1, "target encoding of 'user_id'"),
        ("encoder.json", ("target_encoding", 0, "key"), ["nothing"], "target encoding of 'nothing'"),
        ("architecture.json", ("members",), [], "names no model"),
        ("architecture.json", ("members", 0, "inputs", "history"), 3, "name or inputs of a member"),
        ("architecture.json", ("members", 0, "network", "width"), 65_536, "larger than its weights"),
        ("architecture.json", ("members", 0, "network", "towers"), [4] * 65, "at most 64"),
        ("manifest.json", ("automtl",), None, ""),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_made_of_it(
    name: str, place: tuple[Any, ...], value: Any, said: str, model: Path, tmp_path: Path
) -> None:
    folder = with_values(model, tmp_path / "model", name, *place, value=value)
    if not said:
        Predictor.load(folder)
        return
    with pytest.raises(FileError, match=said) as refused:
        Predictor.load(folder)
    assert str(folder) in str(refused.value)


def test_a_folder_that_is_nested_too_deeply_is_refused(model: Path, tmp_path: Path) -> None:
    for place, name in enumerate(("encoder.json", "coverage.json", MANIFEST)):
        folder = changed(model, tmp_path / str(place), name, b"[" * 100_000)
        with pytest.raises(FileError, match=f"{name}' cannot be read .it is nested too deeply"):
            Predictor.load(folder)


@pytest.mark.parametrize(
    ("name", "array", "value", "said"),
    [
        ("weights.safetensors", None, float("nan"), "holds values that are no finite numbers"),
        ("weights.safetensors", None, float("inf"), "holds values that are no finite numbers"),
        ("encoder.safetensors", "target_encoding.0.prior", float("nan"), "target encoding of 'user_id'"),
        ("encoder.safetensors", "target_encoding.0.std", 0.0, "target encoding of 'user_id'"),
        ("encoder.safetensors", "target_encoding.0.counts", -1.0, "target encoding of 'user_id'"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    name: str, array: str | None, value: float, said: str, model: Path, tmp_path: Path
) -> None:
    arrays = {key: one.copy() for key, one in load((model / name).read_bytes()).items()}
    arrays[array or next(iter(arrays))].flat[0] = value
    with pytest.raises(FileError, match=said):
        Predictor.load(changed(model, tmp_path / "model", name, save(arrays)))


def test_arrays_of_another_shape_or_type_are_refused(model: Path, tmp_path: Path) -> None:
    arrays = load((model / "encoder.safetensors").read_bytes())
    changes = {
        "target_encoding.0.rows": lambda one: one[:-1], "target_encoding.0.mean": lambda one: one.astype("float32"),
        "target_encoding.0.binary": lambda one: ~one, "vocabularies.0.values": lambda one: one.astype("float64"),
    }  # fmt: skip
    for place, (name, change) in enumerate(changes.items()):
        content = save(arrays | {name: change(arrays[name]).copy()})
        with pytest.raises(FileError, match="target encoding of 'user_id'|'values' of a vocabulary"):
            Predictor.load(changed(model, tmp_path / str(place), "encoder.safetensors", content))


def test_weights_that_give_no_finite_scores_are_told_when_they_score(
    model: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    arrays = {name: one.copy() for name, one in load((model / "weights.safetensors").read_bytes()).items()}
    for one in arrays.values():
        one[:] = 3e38
    predictor = Predictor.load(changed(model, tmp_path / "model", "weights.safetensors", save(arrays)))
    with pytest.raises(FileError, match="scores of task '.*' are no finite numbers"):
        predictor.predict(rows)
    with pytest.raises(FileError, match="no finite numbers"):
        predictor.predict_rows(rows.head(1).to_dicts())
