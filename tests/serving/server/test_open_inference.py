"""The real Triton client gets the scores of the Python predictor, in both forms of tensors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from automtl._version import __version__
from automtl.predictor import Predictor
from tests.serving.server.conftest import Running

TYPES = {"BYTES": object, "INT64": np.int64, "FP64": np.float64}


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address.removeprefix("http://")) as found:
        yield found


def tensors(client: triton.InferenceServerClient, rows: list[dict[str, Any]], *, binary: bool) -> list[Any]:
    """All columns in the types that the server's metadata name, texts of lists as JSON."""
    found = []
    for one in client.get_model_metadata("shop")["inputs"]:
        values = [row[one["name"]] for row in rows]
        if one["datatype"] == "BYTES":
            texts = ("" if v is None else v if isinstance(v, str) else orjson.dumps(v).decode() for v in values)
            values = [text.encode() for text in texts]
        array = np.array(values, dtype=TYPES[one["datatype"]])
        found.append(triton.InferInput(one["name"], list(array.shape), one["datatype"]))
        found[-1].set_data_from_numpy(array, binary_data=binary)
    return found


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_triton_gets_the_scores_of_the_predictor(
    client: triton.InferenceServerClient,
    predictor: Predictor,
    rows: list[dict[str, Any]],
    binary: bool,
    compression: str | None,
) -> None:
    expected = predictor.predict(rows)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in expected.columns]
    found = client.infer(
        "shop", tensors(client, rows, binary=binary), outputs=outputs, request_id="7",
        request_compression_algorithm=compression,
    )  # fmt: skip
    assert found.get_response()["id"] == "7" and found.get_response()["model_name"] == "shop"
    for name in expected.columns:
        assert ("data" in found.get_output(name)) is not binary
        np.testing.assert_allclose(found.as_numpy(name), expected[name].to_numpy(), atol=1e-7, rtol=0)


def test_all_outputs_come_where_none_is_named(
    client: triton.InferenceServerClient, predictor: Predictor, rows: list[dict[str, Any]]
) -> None:
    found, expected = client.infer("shop", tensors(client, rows[:3], binary=True)), predictor.predict(rows[:3])
    assert [one["name"] for one in found.get_response()["outputs"]] == expected.columns
    np.testing.assert_allclose(found.as_numpy("spent"), expected["spent"].to_numpy(), atol=1e-6)


def test_triton_asks_for_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("shop")
    about, server = client.get_model_metadata("shop"), client.get_server_metadata()
    assert (server["name"], server["version"]) == ("automtl", __version__)
    (version,) = about["versions"]
    assert client.is_model_ready("shop", version) and client.get_model_metadata("shop", version) == about
    assert not client.is_model_ready("shop", "other")
    assert client.get_model_repository_index()[0] == {
        "name": "shop",
        "version": version,
        "state": "READY",
        "reason": "",
    }
    assert {one["name"]: one["datatype"] for one in about["inputs"]}["tags"] == "BYTES"


def test_triton_is_told_what_is_wrong(client: triton.InferenceServerClient, rows: list[dict[str, Any]]) -> None:
    given = tensors(client, rows[:2], binary=True)
    with pytest.raises(InferenceServerException, match="lacks column 'user_id'"):
        client.infer("shop", [one for one in given if one.name() != "user_id"])
    with pytest.raises(InferenceServerException, match="no output 'bought'"):
        client.infer("shop", given, outputs=[triton.InferRequestedOutput("bought")])
    with pytest.raises(InferenceServerException, match="there is no model 'shopp'"):
        client.infer("shopp", given)


def price(**more: Any) -> dict[str, Any]:
    return {"name": "price", "shape": [1], "datatype": "FP64", "data": [1.0]} | more


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (price(shape=[2]), "'data' has 1 values, its shape 2"),
        (price(shape=[1, 2]), "give [N] or [N, 1]"),
        (price(shape="1"), "give [N] or [N, 1]"),
        (price(shape=[True]), "give [N] or [N, 1]"),
        (price(shape=[0], data=[]), "at least one row"),
        (price(shape=[10**9], data=None), "are more than"),
        (price(datatype="FP8"), 'datatype "FP8" is unknown'),
        (price(datatype=None), "datatype null is unknown"),
        (price(datatype={}), "datatype {} is unknown"),
        (price(data=["1"]), '"1" is no FP64'),
        (price(data=[True]), "true is no FP64"),
        (price(data={"a": 1}), "'data' has none values"),
        (price(data=[[[1.0]]]), "is no FP64"),
        (price(parameters={"binary_data_size": 8}), "end 8 bytes too early"),
        (price(parameters={"binary_data_size": -8}), "give the number of bytes"),
        ({"name": 3}, "no object with a 'name'"),
        (7, "no object with a 'name'"),
        (price(name="colour"), "there is no input 'colour'"),
        (price(), "lacks column 'user_id'"),
    ],
    ids=str,
)
def test_a_wrong_tensor_is_told_what_is_wrong(server: Running, tensor: Any, message: str) -> None:
    found = server.post("/v2/models/shop/infer", {"inputs": [tensor]})
    assert found.status_code == 400 and message in found.json()["error"]


@pytest.mark.parametrize(
    ("datatype", "rows", "data", "message"),
    [
        ("BYTES", 1, struct.pack("<I", 9) + b"abc", "longer than the data"),
        ("BYTES", 1, b"ab", "within the length"),
        ("BYTES", 2, struct.pack("<I", 1) + b"a", "have 1 texts, its shape 2"),
        ("BYTES", 1, struct.pack("<I", 1) + b"\xff", "no UTF-8"),
        ("FP64", 2, bytes(8), "are not 2 values"),
        ("FP64", 1, bytes(9), "are not 1 values"),
    ],
)
def test_wrong_binary_data_are_told_what_is_wrong(
    server: Running, datatype: str, rows: int, data: bytes, message: str
) -> None:
    tensor = {"name": "price", "shape": [rows], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
    header = orjson.dumps({"inputs": [tensor]})
    headers = {"Inference-Header-Content-Length": str(len(header))}
    found = server.post("/v2/models/shop/infer", header + data, headers=headers)
    assert found.status_code == 400 and message in found.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "²"])
def test_a_wrong_length_of_the_json_part_is_told(server: Running, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length.encode("utf-8")}
    found = server.post("/v2/models/shop/infer", {"inputs": []}, headers=headers)
    assert found.status_code == 400 and "number of bytes of the JSON part" in found.json()["error"]
