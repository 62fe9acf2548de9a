"""The Open Inference Protocol, version 2, over HTTP, with the extensions of binary data and of the repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from automtl._version import __version__
from automtl.errors import suggestion
from automtl.serving.server.bodies import read_body, read_json
from automtl.serving.server.columns import InputColumn
from automtl.serving.server.models import Models
from automtl.serving.server.problems import Problem, malformed
from automtl.serving.server.replies import reply
from automtl.serving.server.rows import GivenRows, rows_of_columns
from automtl.serving.server.served import Answer, Loaded, ServedModel
from automtl.serving.server.tensors import Column, output_tensors, read_inputs

LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ["binary_tensor_data", "model_repository"]
VERSIONED = "/models/{name}/versions/{version}"


def open_inference_router(models: Models) -> APIRouter:
    """Return the endpoints below /v2."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    @router.get("", summary="Name the server and its extensions.")
    async def server() -> Response:
        return reply({"name": "automtl", "version": __version__, "extensions": EXTENSIONS})

    @router.get("/health/live", summary="Tell whether the server runs.")
    async def live() -> Response:
        return reply({"live": True})

    @router.get("/health/ready", summary="Tell whether all models are ready.")
    async def ready() -> Response:
        return reply({"ready": models.ready}, 200 if models.ready else 503)

    @router.get("/models/{name}", summary="Describe the tensors of a model.")
    @router.get(VERSIONED, summary="Describe the tensors of a version of a model.")
    async def metadata(name: str, version: str | None = None) -> Response:
        model = _version_of(models, name, version)
        return reply(metadata_of(model.name, model.loaded))

    @router.get("/models/{name}/ready", summary="Tell whether a model is ready.")
    @router.get(f"{VERSIONED}/ready", summary="Tell whether a version of a model is ready.")
    async def model_ready(name: str, version: str | None = None) -> Response:
        return reply({"name": _version_of(models, name, version).name, "ready": True})

    @router.post("/models/{name}/infer", summary="Score tensors, one a column.")
    @router.post(f"{VERSIONED}/infer", summary="Score tensors by a version of a model.")
    async def infer(name: str, request: Request, version: str | None = None) -> Response:
        model = _version_of(models, name, version)
        body, binary = _parts(await read_body(request, models.settings), request.headers.get(LENGTH))
        loaded = model.loaded
        rows = _rows(read_inputs(body.get("inputs"), binary, models.settings.max_rows), loaded)
        wanted = _wanted(body, loaded.signature.outputs)
        return _response(body, model, await model.score(rows, loaded), wanted)

    @router.post("/repository/index", summary="List the models and whether they are ready.")
    async def index() -> Response:
        loaded = {one.name: one.loaded.version for one in models}
        states = {True: "READY", False: "UNAVAILABLE"}
        return reply(
            [
                {"name": name, "version": loaded.get(name, ""), "state": states[name in loaded], "reason": ""}
                for name in models.folders
            ]
        )

    @router.post("/repository/models/{name}/load", summary="Load a model, again if it is loaded.")
    async def load(name: str) -> Response:
        return reply({"name": name, "version": (await models.load(name)).loaded.version})

    @router.post("/repository/models/{name}/unload", summary="Leave a model; its folder stays.")
    async def unload(name: str) -> Response:
        await models.unload(name)
        return reply({"name": name})

    return router


def _version_of(models: Models, name: str, version: str | None) -> ServedModel:
    """Return a model. Raises Problem where the version is another than the loaded one."""
    model = models.named(name)
    if version not in (None, model.loaded.version):
        raise Problem(404, f"model '{name}' has version '{model.loaded.version}', not '{version}'")
    return model


def metadata_of(name: str, loaded: Loaded) -> dict[str, Any]:
    """Describe the tensors of a model."""
    return {
        "name": name, "versions": [loaded.version], "platform": "automtl",
        "inputs": [{"name": one.name, "datatype": one.datatype, "shape": [-1]} for one in loaded.signature.inputs],
        "outputs": [{"name": one, "datatype": "FP64", "shape": [-1]} for one in loaded.signature.outputs],
    }  # fmt: skip


def _parts(body: bytes, length: str | None) -> tuple[dict[str, Any], memoryview]:
    """Split a body into its JSON and the binary data behind it. Raises Problem."""
    if length is None:
        return read_json(body, nan=True), memoryview(b"")
    if not (length.isascii() and length.isdigit() and int(length) <= len(body)):
        raise malformed(f"{LENGTH} is {length!r}; give the number of bytes of the JSON part")
    return read_json(body[: int(length)], nan=True), memoryview(body)[int(length) :]


def _rows(columns: Sequence[Column], loaded: Loaded) -> GivenRows:
    known = {one.name: one for one in loaded.signature.inputs}
    values = {one.name: _values(one, known.get(one.name)) for one in columns}
    return rows_of_columns(values, len(columns[0].values), loaded.signature)


def _values(given: Column, column: InputColumn | None) -> list[Any]:
    """Turn the texts of lists that are JSON into lists."""
    if column is None or not column.is_list:
        return given.values
    return [_list(one) if isinstance(one, str) and one.startswith("[") else one for one in given.values]


def _list(text: str) -> Any:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    plain = isinstance(found, list) and not any(isinstance(one, list | dict) for one in found)
    return found if plain else text


def _wanted(body: dict[str, Any], outputs: Sequence[str]) -> dict[str, bool]:
    """Return which outputs a client wants, and whether as binary data. Raises Problem for one that there is not."""
    every = _parameters(body).get("binary_data_output") is True
    given = body.get("outputs")
    if given is None or given == []:
        return dict.fromkeys(outputs, every)
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise malformed("'outputs' is no list of objects")
    found = dict[str, bool]()
    for one in given:
        name = one.get("name")
        if not isinstance(name, str) or name not in outputs:
            raise malformed(
                f"there is no output '{name}'{suggestion(str(name), outputs)}; there are {', '.join(outputs)}"
            )
        found[name] = bool(_parameters(one).get("binary_data", every))
    return found


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    found = given.get("parameters")
    if not isinstance(found, dict | None):
        raise malformed("'parameters' is no object")
    return found or {}


def _response(body: dict[str, Any], model: ServedModel, answer: Answer, wanted: dict[str, bool]) -> Response:
    scores = [(name, answer.scored.outputs[name], binary) for name, binary in wanted.items()]
    tensors, binary = output_tensors(scores)
    content: dict[str, Any] = {"model_name": model.name, "model_version": answer.loaded.version, "outputs": tensors}
    if isinstance(body.get("id"), str):
        content["id"] = body["id"]
    if not binary:
        return reply(content)
    header = orjson.dumps(content)
    return Response(header + binary, headers={LENGTH: str(len(header))}, media_type="application/octet-stream")
