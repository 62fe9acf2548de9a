"""Read the body of a request within the limits of size and time."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from automtl.serving.server.problems import Problem, malformed
from automtl.serving.server.settings import ServerSettings

WINDOWS = {"gzip": 31, "deflate": 15}  # of zlib, by Content-Encoding


async def read_body(request: Request, settings: ServerSettings) -> bytes:
    """Read a whole body, decompressed. Raises Problem where it is too large, too slow or damaged."""
    limit = settings.max_body_bytes
    given = request.headers.get("content-length", "")
    if given.isdigit() and int(given) > limit:
        raise _too_large(settings)
    body = bytearray()
    try:
        async with asyncio.timeout(settings.timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise _too_large(settings)
    except TimeoutError:
        raise Problem(
            408, f"the body did not arrive within {settings.timeout_s:g} s", {"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise malformed("the client went away before it had sent the body") from None
    return _decompressed(bytes(body), request.headers.get("content-encoding", "identity").lower(), settings)


def _decompressed(body: bytes, encoding: str, settings: ServerSettings) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOWS:
        raise Problem(415, f"Content-Encoding '{encoding}' is unknown; there are gzip and deflate")
    unpacker = zlib.decompressobj(WINDOWS[encoding])
    try:
        found = unpacker.decompress(body, settings.max_body_bytes + 1)
    except zlib.error:
        raise malformed(f"the body is no {encoding}; send it plain, or correct Content-Encoding") from None
    if len(found) > settings.max_body_bytes:
        raise _too_large(settings)
    if not unpacker.eof:
        raise malformed(f"the body is cut off: its {encoding} has no end")
    return found


def _too_large(settings: ServerSettings) -> Problem:
    return Problem(413, f"the body is larger than {settings.max_body_mb:g} MB; send fewer rows a request")


def read_json(body: bytes | memoryview, *, nan: bool = False) -> dict[str, Any]:
    """Parse the JSON object of a body. `nan`: NaN is taken, too, which some clients write. Raises Problem."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not nan or b"NaN" not in bytes(body):
            raise malformed(f"the body is no JSON: {error}") from None
        found = _with_nan(bytes(body))
    if not isinstance(found, dict):
        raise malformed("the body is no JSON object")
    return found


def _with_nan(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the body is no JSON: {error}") from None
