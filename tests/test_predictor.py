"""A predictor scores tables and single rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from automtl.ensemble.ensemble import Ensemble
from automtl.ensemble.spec import ModelSpec
from automtl.errors import SettingsError
from automtl.predictor import Predictor
from automtl.system.hardware import has_bf16
from automtl.training.fit import SelfTrained


def test_a_loaded_model_predicts_the_same(predictor: Predictor, log: pl.DataFrame, tmp_path: Path) -> None:
    predictor.save(tmp_path / "model")
    assert Predictor.load(tmp_path / "model").predict(log).equals(predictor.predict(log))


def test_one_row_and_many_rows_are_scored_alike(predictor: Predictor, log: pl.DataFrame) -> None:
    whole = predictor.predict(log.head(20))["click"]
    alone = pl.concat([predictor.predict(log[index : index + 1]) for index in range(20)])["click"]
    assert (whole - alone).abs().max() < 1e-5  # type: ignore[operator]


def test_rows_of_python_values_are_scored_as_a_table_is(predictor: Predictor, log: pl.DataFrame) -> None:
    rows = log.head(20).to_dicts()
    found, expected = predictor.predict_rows(rows), predictor.predict(rows)
    assert list(found) == expected.columns
    assert all((found[name] == expected[name].to_numpy()).all() for name in found)


def test_single_rows_have_the_scores_of_a_table_of_one_row_once_the_model_is_warm(
    predictor: Predictor, log: pl.DataFrame
) -> None:
    predictor.warm_up()
    for row in log.head(20).to_dicts():
        found, expected = predictor.predict_rows([row]), predictor.predict([row])
        assert all(found[name].tobytes() == expected[name].to_numpy().tobytes() for name in expected.columns)


def test_products_in_16_bits_move_scores_a_little_and_only_where_asked(predictor: Predictor, log: pl.DataFrame) -> None:
    assert isinstance(predictor.network, Ensemble)
    members = zip(predictor.spec.members, predictor.network.members, strict=True)
    spec, model = next(one for one in members if not isinstance(one[1], SelfTrained))  # without the others beside it
    network = replace(predictor, spec=ModelSpec((spec,)), encoder=spec.encoder(predictor.encoder), network=model)
    whole = network.predict(log)["click"]
    moved = (replace(network, precision="auto").predict(log)["click"] - whole).abs().max()
    assert (moved > 0) == has_bf16(torch.device("cpu"))  # type: ignore[operator]
    assert moved < 0.02  # type: ignore[operator]
    assert network.predict(log)["click"].equals(whole)


def test_a_precision_that_there_is_not_is_refused(predictor: Predictor) -> None:
    with pytest.raises(SettingsError, match="'half' is unknown; there are 'full' and 'auto'"):
        replace(predictor, precision="half")
