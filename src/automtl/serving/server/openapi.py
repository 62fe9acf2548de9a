"""The OpenAPI document of a server, with the columns of its models and an example of each; and a page of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi

from automtl.serving.server.models import Models
from automtl.serving.server.served import ServedModel
from automtl.serving.server.tensors import NUMBERS
from automtl.system.content_policy import content_policy

PREDICT, INFER = "/models/{name}/predict", "/v2/models/{name}/infer"
INFER_VERSION = "/v2/models/{name}/versions/{version}/infer"
ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
STATUSES = {
    "400": "The body cannot be read.", "401": "The token is missing or wrong.", "404": "There is none of this name.",
    "405": "Another method is for this path.", "408": "The body came too slowly.", "409": "The model takes no events.",
    "413": "The request is too large.",
    "415": "The encoding of the body is unknown.", "422": "A value cannot be read.",
    "500": "An unexpected error; the server's log has it.", "503": "The server is busy; see Retry-After.",
    "504": "The rows were not scored in time.",
}  # fmt: skip
STYLE = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#f4f4f4;padding:1em;overflow:auto}td,th{text-align:left;padding:.1em 1em .1em 0}"  # noqa: E501
HEADERS = {"Content-Security-Policy": content_policy(STYLE), "X-Content-Type-Options": "nosniff"}


def openapi_of(app: FastAPI, models: Models) -> dict[str, Any]:
    """Return the document as of now; models that are loaded later have other columns."""
    document = get_openapi(
        title=app.title, version=app.version, routes=app.routes,
        description="Scores rows by saved models of automtl: as JSON rows, and by the Open Inference Protocol v2.",
    )  # fmt: skip
    paths: dict[str, Any] = document["paths"]
    for path, made in ((PREDICT, _predict), (INFER, _infer), (INFER_VERSION, _infer)):
        general = paths.pop(path)["post"]
        general["parameters"] = []
        for model in models:
            own = {"summary": f"{general['summary'].rstrip('.')} ({model.name}).", **made(model, models)}
            names = {"name": model.name, "version": model.loaded.version}
            own["operationId"] = f"{general['operationId']}_{model.name}"
            paths[path.format_map(names)] = {"post": general | own}
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    for method in (one for path in paths.values() for one in path.values()):
        _complete(method, models)
    return document


def _complete(method: dict[str, Any], models: Models) -> None:
    """Name the models in the parameters, and give each method its errors."""
    for parameter in method.get("parameters", ()):
        if parameter["name"] == "name":
            parameter["schema"] = {"type": "string", "enum": list(models.folders)}
    errors = {status: _response(about, ERROR) for status, about in STATUSES.items()}
    method["responses"] = errors | {"200": method["responses"].get("200", {"description": "The answer."})}


def _response(about: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _body(schema: Mapping[str, Any], example: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _predict(model: ServedModel, models: Models) -> dict[str, Any]:
    signature = model.loaded.signature
    row = {
        "type": "object", "required": list(signature.required),
        "properties": {one.name: one.json_schema() for one in signature.inputs},
    }  # fmt: skip
    rows = {"type": "array", "minItems": 1, "maxItems": models.settings.max_rows, "items": row}
    scores = {
        "type": "object", "required": list(signature.outputs),
        "properties": {name: {"type": ["number", "null"]} for name in signature.outputs},
    }  # fmt: skip
    found = {
        "version": {"type": "string"},
        "scores": {"type": "array", "items": scores, "description": "the scores of each row"},
        "unknown": {
            "type": "array", "items": {"type": "array", "items": {"type": "string"}},
            "description": "the columns of each row that hold an id which was not known at fit",
        },
    }  # fmt: skip
    return {
        "requestBody": _body(
            {"type": "object", "required": ["rows"], "properties": {"rows": rows}}, {"rows": [signature.example]}
        ),
        "responses": {
            "200": _response("The scores.", {"type": "object", "required": list(found), "properties": found})
        },
    }


def _infer(model: ServedModel, models: Models) -> dict[str, Any]:
    signature = model.loaded.signature
    tensor = {
        "type": "object", "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string", "enum": [one.name for one in signature.inputs]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2},
            "datatype": {"type": "string", "enum": ["BYTES", *NUMBERS]},
            "data": {"type": "array", "maxItems": models.settings.max_rows},
            "parameters": {"type": "object"},
        },
    }  # fmt: skip
    wanted = {
        "type": "object", "required": ["name"],
        "properties": {"name": {"type": "string", "enum": list(signature.outputs)}, "parameters": {"type": "object"}},
    }  # fmt: skip
    body = {
        "type": "object", "required": ["inputs"],
        "properties": {
            "id": {"type": "string"}, "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": "array", "items": wanted}, "parameters": {"type": "object"},
        },
    }  # fmt: skip
    values = ((one, json.dumps(one.example) if one.is_list else one.example) for one in signature.inputs)
    example = [{"name": one.name, "shape": [1], "datatype": one.datatype, "data": [value]} for one, value in values]
    return {"requestBody": _body(body, {"inputs": example})}


def openapi_router(app: FastAPI, models: Models) -> APIRouter:
    """Return the endpoints of the document and its page, which fetches nothing."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def document() -> Response:
        return Response(json.dumps(openapi_of(app, models)), media_type="application/json")

    @router.get("/docs")
    async def page() -> Response:
        return Response(
            "".join(_page(openapi_of(app, models), models)), media_type="text/html; charset=utf-8", headers=HEADERS
        )

    return router


def _page(document: dict[str, Any], models: Models) -> Iterator[str]:
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>automtl</title><style>{STYLE}</style>"
    yield '<h1>automtl</h1><p>The <a href="openapi.json">OpenAPI document</a> of this server.</p>'
    for model in models:
        signature = model.loaded.signature
        yield f"<h2>{escape(model.name)}</h2><p>Version {model.loaded.version}.</p><table><tr><th>column<th>holds"
        yield "<th>tensor<th>example"
        for one in signature.inputs:
            cells = (one.name, one.kind.value, one.datatype, json.dumps(one.example, ensure_ascii=False))
            yield "<tr>" + "".join(f"<td>{escape(cell)}" for cell in cells)
            yield " (may be left out)" if one.optional else ""
        yield f"</table><p>Scores: {escape(', '.join(signature.outputs))}.</p>"
    yield "<h2>Requests</h2>"
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            yield f"<h3><code>{method.upper()} {escape(path)}</code></h3><p>{escape(about['summary'])}</p>"
            example = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            if example is not None:
                yield f"<pre>{escape(json.dumps(example, ensure_ascii=False, indent=1))}</pre>"
    yield "</html>"
