"""The guard before all endpoints: it asks for the token, and answers errors that nobody expected."""

from __future__ import annotations

import hmac
import logging
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from automtl.serving.server.replies import failure

log = logging.getLogger("automtl.server")
OPEN = ("/health", "/v2/health/live")  # say that the server runs, and nothing else


class Guard:
    """Asks for the token, and turns an unexpected error into status 500 with the id that it has in the log."""

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        self.app, self.token = app, None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not self._may(scope):
            told = failure(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
            await told(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            error_id = uuid.uuid4().hex[:12]
            log.exception("error %s at %s %s", error_id, scope["method"], scope["path"])
            if started:
                raise
            await failure(500, f"an unexpected error; the server's log has it as {error_id}", id=error_id)(
                scope, receive, send
            )

    def _may(self, scope: Scope) -> bool:
        if self.token is None or scope["path"] in OPEN:
            return True
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self.token)
