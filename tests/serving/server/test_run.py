"""A server keeps its limits, asks for its token, and answers what it has accepted before it ends."""

from __future__ import annotations

import gzip
import http.client
import signal
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from automtl.errors import SettingsError
from automtl.serving.server.run import Listening, open_socket
from tests.serving.server.conftest import Running, serving

PREDICT = "/models/shop/predict"
KEY = {"Authorization": "Bearer open sesame"}


@pytest.fixture(scope="module")
def strict(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a token and narrow limits."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("open sesame\n")
    limits = ("--max-rows", 5, "--max-body", 0.01, "--timeout", 2, "--access-log")
    with serving(folder, "--token-file", token, *limits) as running:
        yield running
        code, errors = running.stop(signal.SIGINT)
        assert code == 0 and "Traceback" not in errors


def test_only_liveness_needs_no_token(strict: Running) -> None:
    for path in ("/health", "/v2/health/live"):
        assert strict.get(path).status_code == 200
    for path in ("/v2", "/v2/health/ready", "/metrics", "/docs", "/openapi.json", "/models/shop", "/nothing"):
        assert strict.get(path).status_code == 401
        assert strict.get(path, headers={"Authorization": "Bearer open sesam"}).status_code == 401
        assert strict.get(path, headers=KEY).status_code == (404 if path == "/nothing" else 200)


def test_too_many_rows_and_too_large_bodies_are_refused(strict: Running, rows: list[dict[str, Any]]) -> None:
    found = strict.post(PREDICT, {"rows": rows[:6]}, headers=KEY)
    assert found.status_code == 413 and "6 rows are more than 5" in found.json()["error"]
    large = orjson.dumps({"rows": rows[:1], "more": "x" * 20_000})
    assert len(gzip.compress(large)) < 10_000
    for body, encoding in ((large, "identity"), (gzip.compress(large), "gzip"), (zlib.compress(large), "deflate")):
        found = strict.post(PREDICT, body, headers=KEY | {"Content-Encoding": encoding})
        assert found.status_code == 413 and "larger than 0.01 MB" in found.json()["error"]
    parts = iter([large[:9000], large[9000:]])  # in chunks, without a length
    found = requests.post(strict.address + PREDICT, data=parts, headers=KEY, timeout=30)
    assert found.status_code == 413


def test_compressed_bodies_are_read_and_damaged_ones_are_refused(strict: Running, rows: list[dict[str, Any]]) -> None:
    body = orjson.dumps({"rows": rows[:1]})
    packed = gzip.compress(body)
    assert strict.post(PREDICT, packed, headers=KEY | {"Content-Encoding": "gzip"}).status_code == 200
    for damaged, status in ((body, 400), (packed[:-9], 400)):
        assert strict.post(PREDICT, damaged, headers=KEY | {"Content-Encoding": "gzip"}).status_code == status
    assert strict.post(PREDICT, body, headers=KEY | {"Content-Encoding": "br"}).status_code == 415


def test_a_body_that_does_not_come_is_given_up(strict: Running) -> None:
    host, _, port = strict.address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.putrequest("POST", PREDICT)
    for name, value in (KEY | {"Content-Length": "100"}).items():
        connection.putheader(name, value)
    connection.endheaders(b'{"rows": [')
    found = connection.getresponse()
    assert found.status == 408 and b"did not arrive" in found.read()
    connection.close()


def connected(running: Running) -> socket.socket:
    host, _, port = running.address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def answer_of(connection: socket.socket) -> tuple[int, Any]:
    with http.client.HTTPResponse(connection) as found:
        found.begin()
        return found.status, orjson.loads(found.read())


def test_sigterm_under_load_answers_all_that_was_accepted(folder: Path, rows: list[dict[str, Any]]) -> None:
    body = orjson.dumps({"rows": rows})
    request = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with serving(folder, "--max-batch", 60) as running, ExitStack() as stack:
        clients = [stack.enter_context(connected(running)) for _ in range(40)]
        for one in clients:
            one.sendall(request)
        assert running.get("/v2").status_code == 200  # all have been read by then
        running.process.send_signal(signal.SIGTERM)
        answers = [answer_of(one) for one in clients]
        assert [status for status, _ in answers] == [200] * 40
        assert all(body["scores"] == answers[0][1]["scores"] for _, body in answers)
        _, errors = running.process.communicate(timeout=30)
        assert running.process.returncode == 0 and "Traceback" not in errors
        with pytest.raises(requests.ConnectionError):
            running.get("/health")


def test_a_port_that_is_taken_is_told() -> None:
    with open_socket(Listening(port=0)) as taken, pytest.raises(SettingsError, match="choose another --host or --port"):
        open_socket(Listening(port=taken.getsockname()[1]))
