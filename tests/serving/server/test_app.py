"""The application inside another process: documents, unexpected errors, closing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.predictor import Predictor
from automtl.serving import asgi_app
from automtl.serving.server.settings import ServerSettings
from tests.serving.server.conftest import ask


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[Any]:
    made = asgi_app([f"a shop={folder}"], ServerSettings(max_rows=100))
    yield made
    made.state.models.close()


def test_an_application_of_another_server_scores(app: Any, predictor: Predictor, rows: list[dict[str, Any]]) -> None:
    status, found = ask(app, "POST", "/models/a shop/predict", {"rows": rows})
    scores = [row["buy_ctcvr"] for row in orjson.loads(found)["scores"]]
    assert status == 200 and scores == pytest.approx(predictor.predict(rows)["buy_ctcvr"].to_list(), abs=1e-7)


class Broken(nn.Module):
    """A network that raises an error of its own."""

    def forward(self, features: Features) -> Tensor:
        raise RuntimeError("secret of the house")


def test_an_unexpected_error_has_an_id_and_tells_nothing_else(
    app: Any, rows: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    model = app.state.models.named("a shop")
    loaded = model.loaded
    model.use(replace(loaded, predictor=replace(loaded.predictor, network=Broken())))
    try:
        with caplog.at_level(logging.ERROR):
            status, found = ask(app, "POST", "/models/a shop/predict", {"rows": rows})
    finally:
        model.use(loaded)
    told = orjson.loads(found)
    assert status == 500 and set(told) == {"error", "id"} and b"secret" not in found
    assert told["id"] in caplog.text and "secret of the house" in caplog.text


def test_the_document_has_the_columns_of_the_model_and_an_example_that_is_scored(app: Any) -> None:
    document = orjson.loads(ask(app, "GET", "/openapi.json")[1])
    body = document["paths"]["/models/a shop/predict"]["post"]["requestBody"]["content"]["application/json"]
    row = body["schema"]["properties"]["rows"]["items"]
    assert set(row["properties"]) - set(row["required"]) == {"note"} and "user_device" not in row["properties"]
    assert row["properties"]["price"]["description"] == "a number"
    assert row["properties"]["tags"]["examples"] == [body["example"]["rows"][0]["tags"]]
    status, found = ask(app, "POST", "/models/a shop/predict", body["example"])
    assert status == 200 and orjson.loads(found)["unknown"] == [[]]
    tensors = document["paths"]["/v2/models/a shop/infer"]["post"]["requestBody"]["content"]["application/json"]
    assert ask(app, "POST", "/v2/models/a shop/infer", tensors["example"])[0] == 200


def test_the_page_shows_them_and_fetches_nothing(app: Any) -> None:
    status, page = ask(app, "GET", "/docs")
    assert status == 200 and b"shown_at" in page and b"POST /models/a shop/predict" in page
    assert b"src=" not in page and b"http:" not in page and b"https:" not in page
