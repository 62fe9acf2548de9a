"""Events as JSON: `POST /models/NAME/events`, and what is known of them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from automtl.serving.online import OnlineHistories
from automtl.serving.server.bodies import read_body, read_json
from automtl.serving.server.models import Models
from automtl.serving.server.problems import Problem
from automtl.serving.server.replies import reply
from automtl.serving.server.rows import require_count
from automtl.serving.server.served import ServedModel

EVENT = {
    "type": "object", "required": ["event_id"], "additionalProperties": False,
    "properties": {
        "event_id": {"type": "string", "minLength": 1, "maxLength": 200},
        "row": {"type": "object", "description": "columns of the event, and labels that are known already"},
        "labels": {"type": "object", "description": "labels that are known now, of an event by its id"},
        "time": {"description": "when the labels were known, as the time column has it"},
    },
}  # fmt: skip
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object", "required": ["events"],
                    "properties": {"events": {"type": "array", "minItems": 1, "items": EVENT}},
                }
            }
        },
    }
}  # fmt: skip


def events_router(models: Models) -> APIRouter:
    """Return the endpoints."""
    router = APIRouter(tags=["events"])

    @router.post(
        "/models/{name}/events", summary="Take in events and their labels, all or none.", openapi_extra=BODY
    )  # fmt: skip
    async def record(name: str, request: Request) -> Response:
        online = online_of(models.named(name))
        events = read_json(await read_body(request, models.settings)).get("events")
        if not isinstance(events, list):
            raise Problem(422, 'the body has no list of events; send {"events": [{"event_id": ..., "row": {...}}]}')
        require_count(len(events), models.settings)
        return reply(asdict(await asyncio.to_thread(online.record, events)))

    @router.get("/models/{name}/events", summary="Tell what is known of events.")
    async def describe(name: str) -> Response:
        online = online_of(models.named(name))
        return reply({"open": online.open_events, "waiting": online.waiting, "newest_us": online.newest})

    return router


def online_of(model: ServedModel) -> OnlineHistories:
    """Return what keeps the events of a model. Raises Problem where nothing does."""
    online = model.loaded.online
    if online is None:
        why = "the server was started without --events" if model.settings.events is None else "it has no histories"
        raise Problem(409, f"model '{model.name}' takes no events: {why}")
    return online


async def record_scored(model: ServedModel, rows: list[dict[str, Any]], names: Any) -> dict[str, Any]:
    """Take in rows that were scored as events with these ids. Raises Problem where there is not one for each row."""
    online = online_of(model)
    if not isinstance(names, list) or len(names) != len(rows):
        raise Problem(422, f"'record' is no list of {len(rows)} event ids, one for each row; correct it")
    events = [{"event_id": name, "row": row} for name, row in zip(names, rows, strict=True)]
    return asdict(await asyncio.to_thread(online.record, events))
