"""Signing from the command line, and every command that loads a model."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from automtl.cli import app
from automtl.ensemble.saved_model import rewrite_encoder
from automtl.ensemble.spec import ModelSpec
from automtl.errors import FileError, SettingsError
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.serving.server.models import Models
from automtl.serving.server.settings import ServerSettings
from automtl.system.manifest import MANIFEST, checksums
from automtl.system.signature import SIGNATURE, requiring
from automtl.tables.infer import infer_schema

UNLOADED = {"fit", "compare", "reproduce", "prepare", "check", "describe", "synthesize", "demo", "sign"}


@pytest.fixture(scope="module")
def predictor(log: pl.DataFrame) -> Predictor:
    """A model that has learned nothing."""
    encoder, _ = Encoder.fit(log, infer_schema(log, ["click"]), EncoderSettings(), seed=0)
    spec = ModelSpec.of("shared-bottom", NetworkSettings(embedding_size=2, width=4, towers=(4,)))
    return Predictor(encoder.schema, encoder, spec, spec.build(encoder, 0).eval())


def run(*given: object) -> str:
    found = CliRunner().invoke(app, [str(one) for one in given])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.output


def test_a_model_is_signed_and_refused_once_it_is_changed(predictor: Predictor, log_file: Path, tmp_path: Path) -> None:
    model, key, out = tmp_path / "model", tmp_path / "key", tmp_path / "scores.csv"
    predictor.save(model)
    with pytest.raises(FileError, match="model' is not signed"):
        Predictor.load(model, key=_made(key))
    assert f"signed: {model / SIGNATURE}" in run("sign", model, "--key", key)
    assert "1500 rows scored" in run("predict", model, log_file, "--out", out, "--key", key)
    assert "parameters" in run("inspect", model, "--key", key)
    weights = predictor.network.state_dict()
    with torch.no_grad():
        next(iter(weights.values())).add_(1.0)
    predictor.save(tmp_path / "other")
    for name in ("weights.safetensors", MANIFEST):
        (model / name).write_bytes((tmp_path / "other" / name).read_bytes())
    Predictor.load(model)
    with pytest.raises(FileError, match="not signed by this key, or 'model' was changed"):
        run("predict", model, log_file, "--out", out, "--overwrite", "--key", key)


def _made(key: Path) -> Path:
    assert f"key: {key}" in run("sign", "--new-key", key)
    return key


def test_what_is_given_wrongly_is_told(predictor: Predictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "model")
    for given, said in {
        ("sign",): "no model is given",
        ("sign", "model"): "either --key",
        ("sign", "model", "--key", "a", "--new-key", "b"): "either --key",
        ("inspect", tmp_path / "model", "--key", tmp_path / "nowhere"): "nowhere' cannot be read",
    }.items():
        with pytest.raises(SettingsError, match=said):
            run(*given)


def test_what_is_made_of_a_signed_model_is_unsigned_and_said_to_be(predictor: Predictor, tmp_path: Path) -> None:
    model, key = tmp_path / "model", _made(tmp_path / "key")
    predictor.save(model)
    run("sign", model, "--key", key)
    with pytest.warns(UserWarning, match="was signed, what is written to .*model' is not: sign it again"):
        rewrite_encoder(model, predictor.encoder, model)
    assert not (model / SIGNATURE).exists()
    run("sign", model, "--key", key)
    with pytest.warns(UserWarning, match="sign it again"):
        predictor.save(model, overwrite=True)


def test_a_server_asks_for_signatures_in_whatever_thread_it_loads(predictor: Predictor, tmp_path: Path) -> None:
    model, key = tmp_path / "model", _made(tmp_path / "key")
    predictor.save(model)
    run("sign", model, "--key", key)
    with requiring(key):
        models = Models({"model": model}, ServerSettings())
    (model / SIGNATURE).unlink()
    with pytest.raises(FileError, match="is not signed"):
        models._loaded("model")
    models.close()


def test_every_command_that_loads_a_model_takes_a_key() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        names = inspect.signature(command.callback).parameters
        loads = command.name not in UNLOADED
        assert ("key" in names) == (loads or command.name == "sign"), command.name
        assert ("allow" in names) >= loads, command.name


def test_files_that_the_manifest_does_not_list_are_not_read(predictor: Predictor, tmp_path: Path) -> None:
    model = tmp_path / "model"
    predictor.save(model)
    manifest = json.loads((model / MANIFEST).read_bytes())
    del manifest["files"]["weights.safetensors"]
    manifest["files"] |= checksums(model, ["schema.yaml"])
    (model / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(FileError, match="'weights.safetensors' is not among the files of its manifest"):
        Predictor.load(model)
