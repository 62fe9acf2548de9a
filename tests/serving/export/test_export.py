"""`automtl export` writes files that score as the predictor does, or nothing."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch

from automtl.cli import main
from automtl.ensemble.spec import ModelSpec
from automtl.errors import FileError, SettingsError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.serving.export import check, onnx_file
from automtl.serving.export.onnx_file import encoder_model, export_onnx, serialized
from automtl.serving.export.torch_file import export_torch
from automtl.tables.schema import Schema

PAGE = Path(__file__).parents[3] / "docs" / "export.md"
SMALL = NetworkSettings(embedding_size=4, width=8, towers=(6,))


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Make the small weights of a new model large, so that every input changes the scores."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def folder(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A funnel and a logged, clipped quantity beside lists, numbers and target encodings."""
    path = tmp_path_factory.mktemp("exported") / "model"
    schema = Schema.from_dict(
        {
            "fields": [
                {"name": "user_id", "kind": "categorical"},
                {"name": "device", "kind": "categorical"},
                {"name": "tags", "kind": "multi", "pooling": "max"},
                {"name": "price", "kind": "numeric"},
            ],
            "tasks": [
                {"name": "click"},
                {"name": "buy"},
                {"name": "spent", "kind": "regression", "transform": "log1p", "clip": [0, 500]},
            ],
            "funnel": ["click", "buy"],
            "target_encoding": [["user_id"], ["user_id", "device"]],
        }
    )
    rows = log.with_columns(buy=pl.col("buy") * pl.col("click"), spent=pl.col("price") * pl.col("click"))
    encoder, _ = Encoder.fit(rows, schema, EncoderSettings(), 0)
    spec = ModelSpec.of("shared-bottom", SMALL)
    Predictor(schema, encoder, spec, lively(spec.build(encoder, 0))).save(path)
    return path


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    out = folder.with_name("model.onnx")
    assert export_onnx(folder, out).agreement.difference < 1e-5
    return out


def test_raw_values_give_the_scores_of_the_predictor(folder: Path, file: Path, log: pl.DataFrame) -> None:
    session = onnxruntime.InferenceSession(file)
    rows = log.head(50)
    width = rows["tags"].list.len().max()
    feed = {name: rows[name].cast(pl.String).to_numpy().astype(object) for name in ("user_id", "device")}
    feed["price"] = rows["price"].to_numpy().astype(np.float64)
    lists = [[str(tag) for tag in tags] for tags in rows["tags"].fill_null([]).to_list()]
    feed["tags"] = np.array([tags + [""] * (width - len(tags)) for tags in lists], object)
    names = [one.name for one in session.get_outputs()]
    assert names == ["click", "buy", "spent", "click_ctr", "buy_cvr", "buy_ctcvr"]
    expected = Predictor.load(folder).predict(rows)
    for count in (50, 7, 1):
        found = session.run(names, {name: values[:count] for name, values in feed.items()})
        for name, scores in zip(names, found, strict=True):
            np.testing.assert_allclose(scores, expected[name][:count], rtol=1e-5, atol=1e-5)
    assert expected["buy"].std() > 0.01  # type: ignore[operator]  # the inputs matter


def test_the_client_of_the_page_runs(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(file.parent)
    found: dict[str, Any] = {}
    exec(client.replace("clicks.onnx", file.name), found)
    sent = found["rows"]
    rows = {"user_id": sent["user_id"], "device": sent["device"], "price": sent["price"]}
    table = pl.DataFrame(rows | {"tags": [["t1", "t5"], ["t2"]]}, schema_overrides={"price": pl.Float64})
    expected = Predictor.load(folder).predict(table, allow_unknown=True)["click"]
    np.testing.assert_allclose(found["click"], expected, rtol=1e-5, atol=1e-5)


def test_the_file_says_what_it_is(folder: Path, file: Path) -> None:
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=False)
    found = {one.key: one.value for one in model.metadata_props}
    assert json.loads(found["tasks"]) == ["click", "buy", "spent"]
    assert [one["name"] for one in json.loads(found["inputs"])] == [one.name for one in model.graph.input]
    assert found["model_checksum"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert "funnel" in found["schema"] and found["automtl"]
    dims = {one.type.tensor_type.shape.dim[0].dim_param for one in (*model.graph.input, *model.graph.output)}
    assert dims == {"rows"}


def test_scores_that_differ_are_not_written(
    folder: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = onnx.load(file), Predictor.load(folder).encoder
    node = next(one for one in model.graph.node if one.op_type == "Sigmoid")
    node.op_type = "Tanh"
    monkeypatch.setattr(onnx_file, "onnx_model", lambda *given: (model, encoder_model(encoder)[1]))
    with pytest.raises(FileError, match="the exported model scores 'click' .* where the predictor gives"):
        export_onnx(folder, tmp_path / "wrong.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_beyond_two_gigabytes_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 1000)
    with pytest.raises(FileError, match="a file of ONNX holds 2; export it with '--format torch'"):
        serialized(encoder_model(Predictor.load(folder).encoder)[0])


def test_a_program_of_torch_scores_encoded_rows(folder: Path, log: pl.DataFrame, tmp_path: Path) -> None:
    out = tmp_path / "model.pt2"
    assert main_returns("export", folder, "--format", "torch", "--out", out) == 0
    extra = {"model.json": ""}
    run = torch.export.load(out, extra_files=extra).module()
    predictor = Predictor.load(folder)
    features = predictor.encode(log.head(30), labels=False).features
    found = run(features.categorical.long(), features.numeric, [ids.long() for ids in features.multi])
    expected = predictor.predict(log.head(30))
    assert list(found) == expected.columns
    for name, scores in found.items():
        np.testing.assert_allclose(scores.detach().numpy(), expected[name], rtol=1e-6, atol=1e-7)
    assert json.loads(extra["model.json"])["lists"] == ["tags"]


def main_returns(*words: Any) -> int:
    before, sys.argv = sys.argv, ["automtl", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def test_other_names_of_files_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a file '.pt2'"):
        export_torch(folder, tmp_path / "model.zip")
    with pytest.raises(FileError, match=r"is a file '.onnx'"):
        export_onnx(folder, tmp_path / "model.bin")
    with pytest.raises(FileError, match="does not exist; make it first"):
        export_onnx(folder, tmp_path / "nowhere" / "model.onnx")


def test_without_onnx_the_remedy_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingsError, match=r"pip install 'automtl\[onnx\]'"):
        export_onnx(folder, tmp_path / "model.onnx")


def test_check_names_the_input_that_differs(log: pl.DataFrame) -> None:
    schema = Schema.from_dict({"fields": [{"name": "price", "kind": "numeric"}], "tasks": [{"name": "click"}]})
    one, other = (Encoder.fit(rows, schema, EncoderSettings(), 0)[0] for rows in (log, log.head(700)))
    model, columns = encoder_model(one)
    with pytest.raises(FileError, match="encodes 'price.*' otherwise than the predictor"):
        check.check_inputs(serialized(model), other, columns)
