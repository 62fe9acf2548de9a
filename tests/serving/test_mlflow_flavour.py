"""A saved model as a model of MLflow, which scores as the predictor does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.config import make_settings
from automtl.errors import FileError, SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.predictor import Predictor
from automtl.serving.mlflow_flavour import ScoringModel, log_mlflow, save_mlflow
from tests.test_cli import call

pytest.importorskip("mlflow", reason="the extra 'mlflow' is not installed")
pytest.importorskip("pandas", reason="the extra 'mlflow' is not installed")
TASKS = ["click", "buy"]
QUICK: dict[str, Any] = {
    "model": "mmoe", "ensemble": True, "report": False, "presets": [], "trees": {"rounds": 10},
    "training": {"epochs": 1}, "selection": {"boosted_trees": "one"},
    "network": {"embedding_size": 8, "width": 16, "towers": [8]},
}  # fmt: skip
START_SECONDS = 120  # for a server to begin, on a busy machine


@pytest.fixture(scope="module")
def model(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "clicks"
    fit_table(log, TASKS, roles=ColumnRoles(drop=("like", "cart")), settings=make_settings(QUICK), out=folder)
    return folder


@pytest.fixture(scope="module")
def saved(model: Path) -> Path:
    return save_mlflow(model, model.parent / "mlflow")


@pytest.fixture(scope="module")
def rows(log: pl.DataFrame) -> pl.DataFrame:
    """Rows without labels; some lack a number, an id or a list."""
    some = log.drop("click", "like", "buy", "cart")
    holes = [pl.when(pl.int_range(pl.len()) % 7 == place).then(None).otherwise(pl.col(name)).alias(name)
             for place, name in enumerate(("price", "user_id", "device", "tags"))]  # fmt: skip
    return some.with_columns(holes)


@pytest.mark.parametrize("count", [0, 1, 20, 200])
def test_mlflow_scores_as_the_predictor(saved: Path, model: Path, rows: pl.DataFrame, count: int) -> None:
    scores = ScoringModel(Predictor.load(model)).predict(rows.head(count).to_pandas())
    assert list(scores.columns) == TASKS and len(scores) == count
    expected = Predictor.load(model).predict(rows.head(max(count, 1))).head(count).to_numpy()
    np.testing.assert_array_equal(scores.to_numpy(), expected)


@pytest.mark.filterwarnings("ignore")
def test_the_folder_has_signature_and_example_and_no_pickle(saved: Path, model: Path) -> None:
    import mlflow.pyfunc

    names = [path for path in saved.rglob("*") if path.is_file()]
    assert not [path for path in names if path.suffix in (".pkl", ".pickle", ".pt", ".joblib")]
    loaded = mlflow.pyfunc.load_model(str(saved))
    inputs, outputs = loaded.metadata.signature.inputs, loaded.metadata.signature.outputs
    assert inputs.input_names() == ["user_id", "item_id", "device", "hour", "price", "tags"]
    assert outputs.input_names() == TASKS
    example = loaded.metadata.load_input_example(str(saved))
    scores = loaded.predict(example)
    expected = Predictor.load(model).predict(example)
    np.testing.assert_array_equal(scores.to_numpy(), expected.to_numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [9, 100])
def test_mlflow_takes_numbers_ids_and_missing_values_of_any_type(
    saved: Path, model: Path, rows: pl.DataFrame, count: int
) -> None:
    import mlflow.pyfunc

    loaded, predictor = mlflow.pyfunc.load_model(str(saved)), Predictor.load(model)
    whole = rows.head(count).with_columns(price=pl.col("hour") + 1, user_id=pl.col("user_id").cast(pl.String))
    for table in (rows.head(count), whole):
        scores = loaded.predict(table.to_pandas())
        np.testing.assert_array_equal(scores.to_numpy(), predictor.predict(table).to_numpy())


@pytest.fixture
def address(saved: Path) -> Iterator[str]:
    """The address of a real process of `mlflow models serve`."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    binaries = str(Path(sys.executable).parent)
    paths = {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": ":".join(filter(None, sys.path))}
    command = ["mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local", "-h", "127.0.0.1"]
    code = "import sys; from mlflow.cli import cli; sys.argv[0] = 'mlflow'; cli()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command[1:], "-p", str(port)], env=os.environ | paths | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        wait(process, f"http://127.0.0.1:{port}/ping")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=60)


def wait(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            assert process.stdout is not None
            pytest.fail(process.stdout.read().decode())
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer from {url}")


def test_a_real_server_of_mlflow_gives_the_scores_of_the_predictor(
    address: str, model: Path, rows: pl.DataFrame
) -> None:
    asked = rows.head(10).to_dicts()
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"dataframe_records": asked}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        scores = json.loads(answer.read())["predictions"]
    expected = Predictor.load(model).predict(rows.head(10)).to_dicts()
    assert scores == expected  # JSON keeps all digits of a float


@pytest.mark.filterwarnings("ignore")
def test_a_model_is_logged_to_a_run(model: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    try:
        with mlflow.start_run():
            found = log_mlflow(model)
        loaded = mlflow.pyfunc.load_model(found)
        np.testing.assert_array_equal(
            loaded.predict(rows.head(3).to_pandas()).to_numpy(), Predictor.load(model).predict(rows.head(3)).to_numpy()
        )
    finally:
        mlflow.set_tracking_uri(None)


def test_the_command_writes_the_folder_whole_or_not_at_all(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("mlflow", model, "--out", tmp_path / "new") == 0
    assert "mlflow models serve" in capsys.readouterr().out and (tmp_path / "new" / "MLmodel").is_file()
    assert call("mlflow", model, "--out", tmp_path / "new") == 2
    assert "not empty" in capsys.readouterr().err
    assert call("mlflow", model, "--out", tmp_path / "new", "--overwrite") == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text.txt").write_text("mine")
    with pytest.raises(FileError, match="holds no model of MLflow"):
        save_mlflow(model, tmp_path / "mine", overwrite=True)
    with pytest.raises(FileError, match="does not exist"):
        save_mlflow(tmp_path / "nothing", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "new"]


def test_without_mlflow_the_message_names_the_extra(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    with pytest.raises(SettingsError, match=r"pip install 'automtl\[mlflow\]'"):
        save_mlflow(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
