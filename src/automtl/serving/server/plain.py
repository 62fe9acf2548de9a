"""Rows as JSON: `POST /models/NAME/predict`, and what the models are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from automtl.serving.server.bodies import read_body, read_json
from automtl.serving.server.events import record_scored
from automtl.serving.server.models import Models
from automtl.serving.server.replies import reply
from automtl.serving.server.rows import read_rows
from automtl.serving.server.served import Answer, ServedModel


def plain_router(models: Models) -> APIRouter:
    """Return the endpoints."""
    router = APIRouter(tags=["rows"])

    @router.get("/models", summary="List the models.")
    async def list_models() -> Response:
        return reply({"models": [about(one) for one in models]})

    @router.get("/models/{name}", summary="Describe a model: its columns, outputs and version.")
    async def describe(name: str) -> Response:
        return reply(about(models.named(name)))

    @router.post("/models/{name}/predict", summary="Score rows.")
    async def predict(name: str, request: Request) -> Response:
        model, settings = models.named(name), models.settings
        body = read_json(await read_body(request, settings))
        loaded = model.loaded
        rows = read_rows(body.get("rows"), loaded.signature, settings)
        found = scores_of(await model.score(rows, loaded))
        if "record" in body:
            found["recorded"] = await record_scored(model, body["rows"], body["record"])
        return reply(found)

    @router.post("/models/{name}/reload", summary="Load a model again from its folder.")
    async def reload(name: str) -> Response:
        return reply(about(await models.load(name)))

    return router


def about(model: ServedModel) -> dict[str, Any]:
    """Describe a model in plain values."""
    loaded = model.loaded
    return {
        "name": model.name, "version": loaded.version, "loaded_at": loaded.at, "load_seconds": loaded.seconds,
        "inputs": [
            {"name": one.name, "kind": one.kind.value, "optional": one.optional, "example": one.example}
            for one in loaded.signature.inputs
        ],
        "outputs": list(loaded.signature.outputs),
    }  # fmt: skip


def scores_of(answer: Answer) -> dict[str, Any]:
    """Return the plain values of an answer: for each row its scores, and the columns whose id is unknown."""
    scored = answer.scored
    columns = [one.tolist() for one in scored.outputs.values()]
    unknown = list[list[str]]([] for _ in range(scored.rows))
    for name, rows in scored.unknown.items():
        for place in rows.nonzero()[0].tolist():
            unknown[place].append(name)
    return {
        "version": answer.loaded.version,
        "scores": [dict(zip(scored.outputs, one, strict=True)) for one in zip(*columns, strict=True)],
        "unknown": unknown,
    }
