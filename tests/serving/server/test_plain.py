"""Rows as JSON get the scores of the Python predictor."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import orjson
import pytest

from automtl.predictor import Predictor
from tests.serving.server.conftest import Running


def scores_of(body: Any, name: str) -> np.ndarray:
    return np.array([row[name] for row in body["scores"]])


def test_rows_get_the_scores_of_the_predictor(
    server: Running, predictor: Predictor, rows: list[dict[str, Any]]
) -> None:
    found, expected = server.post("/models/shop/predict", {"rows": rows}).json(), predictor.predict(rows)
    assert list(found["scores"][0]) == expected.columns
    for name in expected.columns:
        np.testing.assert_allclose(scores_of(found, name), expected[name].to_numpy(), atol=1e-7, rtol=0)


def test_curl_gets_them_too(server: Running, predictor: Predictor, rows: list[dict[str, Any]]) -> None:
    body = orjson.dumps({"rows": rows[:1]}).decode()
    address = f"{server.address}/models/shop/predict"
    command = ["curl", "-sS", "-H", "Content-Type: application/json", "-d", body, address]
    found = orjson.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    np.testing.assert_allclose(scores_of(found, "buy"), predictor.predict(rows[:1])["buy"].to_numpy(), atol=1e-7)


def test_labels_in_rows_and_other_columns_change_nothing(server: Running, rows: list[dict[str, Any]]) -> None:
    labelled = [row | {"click": 1, "buy": 0, "spent": 3.0, "other": "x"} for row in rows]
    plain, found = (server.post("/models/shop/predict", {"rows": one}).json() for one in (rows, labelled))
    assert plain == found


def test_unknown_ids_are_told_row_by_row(server: Running, rows: list[dict[str, Any]]) -> None:
    known = server.get("/models/shop").json()
    example = {one["name"]: one["example"] for one in known["inputs"]}
    others = [example, example | {"item_id": 10**6, "tags": ["t1", "new"]}, example | {"device": "PHONE"}]
    found = server.post("/models/shop/predict", {"rows": others}).json()["unknown"]
    assert found == [[], ["item_id", "tags"], []]


def test_an_optional_column_may_be_left_out_and_others_may_be_null(
    server: Running, predictor: Predictor, rows: list[dict[str, Any]]
) -> None:
    given = [{name: value for name, value in rows[0].items() if name != "note"} | {"price": None, "tags": None}]
    found = server.post("/models/shop/predict", {"rows": given}).json()
    np.testing.assert_allclose(scores_of(found, "click"), predictor.predict(given)["click"].to_numpy(), atol=1e-7)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is no JSON"),
        (b"[1]", 400, "no JSON object"),
        (b'{"rows": [{"price": NaN}]}', 400, "the body is no JSON"),
        (b"\xff\xfe", 400, "the body is no JSON"),
        ({"row": []}, 422, "no list of rows"),
        ({"rows": {}}, 422, "no list of rows"),
        ({"rows": []}, 422, "there are no rows"),
        ({"rows": [1]}, 422, "row 0 is no object"),
        ({"rows": [{}]}, 422, "lacks column 'user_id'"),
        ({"rows": [{"userid": 1}]}, 422, "did you mean 'userid'?"),
    ],
    ids=str,
)
def test_a_wrong_body_is_told_what_is_wrong(server: Running, body: Any, status: int, message: str) -> None:
    found = server.post("/models/shop/predict", body)
    assert found.status_code == status and message in found.json()["error"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": "cheap"}, "'price'"),
        ({"price": [1, 2]}, "row 0: column 'price' is a list"),
        ({"price": {"amount": 1}}, "row 0: column 'price' is an object"),
        ({"tags": [["a"]]}, "row 0: column 'tags'"),
        ({"shown_at": "yesterday"}, "'shown_at'"),
        ({"shown_at": 5}, "'shown_at'"),
        ({"user_id": 1.2345e20}, "user_id"),
    ],
    ids=str,
)
def test_a_wrong_value_is_told_by_its_column(
    server: Running, rows: list[dict[str, Any]], change: dict[str, Any], message: str
) -> None:
    found = server.post("/models/shop/predict", {"rows": [rows[0] | change]})
    assert found.status_code == 422, found.text
    assert message in found.json()["error"] and "Traceback" not in found.text


@pytest.mark.parametrize("path", ["/models/shop2/predict", "/nothing", "/v2/models/shop/versions/1"])
def test_an_unknown_place_is_404_in_json(server: Running, path: str) -> None:
    found = server.get(path) if "predict" not in path else server.post(path, {"rows": []})
    assert found.status_code == 404 and found.json()["error"]
