"""A saved model as a model of MLflow (python_function), with signature and input example. Nothing of it is a pickle.

MLflow loads it by the name of this module and the path of the model's folder, which is part of MLflow's folder.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automtl._version import __version__
from automtl.errors import FileError, SettingsError
from automtl.predictor import Predictor
from automtl.serving.server.columns import Signature
from automtl.system.files import folder_written_whole, require_free
from automtl.system.manifest import MODEL

MISSING = "MLflow's models need mlflow and pandas; run: pip install 'automtl[mlflow]'"
FEW = 64  # rows that are scored one by one, without making a table
MANIFEST = "MLmodel"  # of MLflow's folders


def save_mlflow(model: Path | str, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write a saved model as a folder of MLflow, completely or not at all, and return its path.

    `mlflow models serve -m OUT --env-manager local` serves it, and registries take it. Raises SettingsError where
    MLflow is not installed, FileError for a folder that is not empty, unless `overwrite` is set and it holds a model of
    MLflow.
    """
    folder, out = Path(model), Path(out)
    require_free(out, overwrite)
    if overwrite and out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise FileError(f"'{out}' holds no model of MLflow, it is not overwritten; choose another --out")
    with _mlflow() as mlflow, folder_written_whole(out, overwrite=overwrite) as fresh:
        mlflow.pyfunc.save_model(fresh, **_content(folder))
    return out


def log_mlflow(model: Path | str, name: str = "model", *, registered_model_name: str | None = None) -> str:
    """Log a saved model to the active run of MLflow, or a new one, and return its address there, such as `models:/m-1`.

    `registered_model_name`: under which it is registered, too.
    """
    with _mlflow() as mlflow:
        logged = mlflow.pyfunc.log_model(
            name=name, registered_model_name=registered_model_name, **_content(Path(model))
        )
    return str(logged.model_uri)


def _load_pyfunc(path: str) -> ScoringModel:
    """Load the model that MLflow has in a folder; MLflow calls this function by its name."""
    return ScoringModel(Predictor.load(path))


class ScoringModel:
    """A model that MLflow calls to score rows."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.outputs = predictor, Signature.of(predictor).outputs

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Score a data frame of pandas: one column for each output of `Predictor.predict`."""
        import pandas as pd

        if len(model_input) == 0:
            return pd.DataFrame({name: [] for name in self.outputs}, dtype="float64")
        if len(model_input) > FEW:
            return self.predictor.predict(model_input).to_pandas().set_index(model_input.index)
        rows = [{name: _plain(value) for name, value in row.items()} for row in model_input.to_dict("records")]
        return pd.DataFrame(self.predictor.predict_rows(rows), index=model_input.index)


def _plain(value: Any) -> Any:
    """Return None for what pandas has in place of a missing value."""
    import pandas as pd

    return None if value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value) else value


@contextmanager
def _mlflow() -> Iterator[Any]:
    """Give MLflow without reports of its use and without its warnings. Raises SettingsError where it is missing."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mlflow.pyfunc
            import pandas  # noqa: F401
        except ImportError:
            raise SettingsError(MISSING) from None
        yield mlflow


def _content(folder: Path) -> dict[str, Any]:
    """Return the arguments by which MLflow saves a model."""
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import schema as types

    MODEL.verify(folder)
    predictor = Predictor.load(folder)
    told = Signature.of(predictor)
    kinds: Any = types  # any: values come as numbers and as texts, and whole numbers are no doubles of MLflow
    inputs = [kinds.ColSpec(kinds.AnyType(), one.name, required=not one.optional) for one in told.inputs]
    outputs = [kinds.ColSpec(kinds.DataType.double, name) for name in told.outputs]
    return {
        "loader_module": __name__, "data_path": str(folder.resolve()),
        "signature": ModelSignature(kinds.Schema(inputs), kinds.Schema(outputs)),
        "input_example": pd.DataFrame([told.example]),
        "pip_requirements": _requirements(predictor), "metadata": {"automtl": __version__},
    }  # fmt: skip


def _requirements(predictor: Predictor) -> list[str]:
    """List the packages that score the model."""
    catboost = ["catboost"] if any(one.model == "catboost" for one in predictor.spec.members) else []
    return [f"automtl=={__version__}", "pandas", *catboost]
