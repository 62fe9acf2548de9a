"""The guard before all endpoints: it asks for the token, and answers errors that nobody expected."""

from __future__ import annotations

import hmac
import logging
import time
import uuid
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from automtl.serving.server.replies import failure

log = logging.getLogger("automtl.server")
OPEN = ("/health", "/v2/health/live")  # say that the server runs, and nothing else


class Guard:
    """Asks for the token, and turns an unexpected error into status 500 with the id that it has in the log.

    `answered`: is told of each request its scope, its status and the seconds it took.
    """

    def __init__(
        self, app: ASGIApp, token: str | None = None, answered: Callable[[Scope, int, float], None] | None = None
    ) -> None:
        self.app, self.answered = app, answered
        self.token = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except Exception:
            error_id = uuid.uuid4().hex[:12]
            log.exception("error %s at %s %s", error_id, scope["method"], scope["path"])
            if status:
                raise
            told = failure(500, f"an unexpected error; the server's log has it as {error_id}", id=error_id)
            await told(scope, receive, sending)
        finally:
            if self.answered is not None:
                self.answered(scope, status, time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._may(scope):
            await self.app(scope, receive, send)
        else:
            told = failure(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
            await told(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        if self.token is None or scope["path"] in OPEN:
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self.token)
