"""Answers of the server as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response; numbers are written such that they are read as they were."""
    return Response(orjson.dumps(content), status, dict(headers or {}), "application/json")


def failure(status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """Return the response of every error: what is wrong and the remedy."""
    return reply({"error": message, **more}, status, headers)
