"""The ASGI application of a server of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from automtl._version import __version__
from automtl.errors import AutomtlError
from automtl.serving.server.events import events_router
from automtl.serving.server.guard import Guard
from automtl.serving.server.metrics import Metrics, metrics_router
from automtl.serving.server.models import Models
from automtl.serving.server.open_inference import open_inference_router
from automtl.serving.server.openapi import openapi_router
from automtl.serving.server.plain import plain_router
from automtl.serving.server.problems import Problem
from automtl.serving.server.replies import failure, reply


def make_app(models: Models, token: str | None = None) -> FastAPI:
    """Return the application, whose lifespan ends by answering what waits. `token`: clients must give it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(models.watch()) if models.settings.watch_s is not None else None
        yield
        if watching is not None:
            watching.cancel()
        await asyncio.to_thread(models.close)

    app = FastAPI(
        title="automtl", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.models = models
    metrics = Metrics(models)
    app.include_router(plain_router(models))
    app.include_router(open_inference_router(models))
    app.include_router(events_router(models))
    app.include_router(metrics_router(metrics))
    app.include_router(openapi_router(app, models))

    @app.get("/health", tags=["server"], summary="Tell whether the server runs.")
    async def health() -> Response:
        return reply({"status": "ok"})

    _answer_errors(app)
    app.add_middleware(Guard, token=token, answered=metrics.count)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Answer every error with its message alone, as JSON."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        protocol = request.scope["path"].startswith("/v2/") and error.status == 422  # which knows 400 alone
        return failure(400 if protocol else error.status, error.message, error.headers)

    @app.exception_handler(AutomtlError)
    async def mistake(request: Request, error: AutomtlError) -> Response:
        return failure(400 if request.scope["path"].startswith("/v2/") else 422, str(error))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        return failure(error.status_code, f"{request.method} {request.scope['path']}: {error.detail}", error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        return failure(400, "; ".join(str(one["msg"]) for one in error.errors()))
