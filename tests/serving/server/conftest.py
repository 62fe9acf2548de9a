"""Fixtures of the server's tests: one small model of many kinds of columns, and real server processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import requests

import automtl
from automtl.predictor import Predictor
from automtl.tables.schema import Field, FieldKind, Schema, Task, TaskKind

QUICK = {"model": "mmoe", "report": False, "presets": [], "training": {"epochs": 1}}
SCHEMA = Schema(
    fields=(
        Field("user_id", FieldKind.CATEGORICAL),
        Field("item_id", FieldKind.CATEGORICAL),
        Field("device", FieldKind.CATEGORICAL, text=("lower",)),
        Field("price", FieldKind.NUMERIC),
        Field("tags", FieldKind.MULTI),
        Field("words", FieldKind.MULTI, delimiter="|"),
        Field("shown_at", FieldKind.TIME),
        Field("stamp", FieldKind.TIME, unit="s"),
        Field("note", FieldKind.CATEGORICAL, optional=True),
        Field("user_device", FieldKind.CROSS, of=("user_id", "device")),
    ),
    tasks=(Task("click"), Task("buy"), Task("spent", TaskKind.REGRESSION)),
    funnel=("click", "buy"),
)


def table_of(rows: int, seed: int) -> pl.DataFrame:
    """Rows of all kinds of columns, with some missing values."""
    log = automtl.synthetic_log(rows, users=40, items=30, seed=seed)
    first = datetime(2024, 1, 1, 8)
    return log.select("user_id", "item_id", "device", "price", "tags", "click").with_columns(
        buy=log["buy"] * log["click"],
        spent=log["price"] * log["buy"],
        words=log["tags"].list.join("|"),
        shown_at=pl.Series([str(first + timedelta(minutes=37 * place)) for place in range(rows)]),
        stamp=pl.Series([1_700_000_000 + 60 * place for place in range(rows)]),
        note=pl.Series([None if place % 3 else f"n{place % 5}" for place in range(rows)]),
        price=pl.Series([None if place % 7 == 0 else price for place, price in enumerate(log["price"])]),
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model named 'shop'."""
    return fitted(tmp_path_factory.mktemp("served") / "shop", seed=0)


def fitted(folder: Path, seed: int) -> Path:
    settings = automtl.read_settings(None, QUICK)
    automtl.fit_table(table_of(600, 0), schema=SCHEMA, settings=settings, seed=seed, out=folder)
    return folder


@pytest.fixture(scope="session")
def predictor(folder: Path) -> Predictor:
    return Predictor.load(folder)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """New rows without labels; some of their ids are unknown."""
    table = table_of(60, 5).drop("click", "buy", "spent")
    return table.with_columns(item_id=pl.col("item_id") + 20 * (pl.col("item_id") % 4 == 0)).to_dicts()


@dataclass
class Running:
    """A server process and its address."""

    process: subprocess.Popen[str]
    address: str

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.address + path, timeout=30, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        return requests.post(self.address + path, data=data, timeout=30, **more)

    def stop(self, signal_number: int = signal.SIGTERM) -> tuple[int, str]:
        """Stop it and return its exit code and what it wrote to standard error."""
        self.process.send_signal(signal_number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@contextmanager
def serving(*arguments: object, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """A server on a free port; stopped at the end, if it still runs."""
    command = [sys.executable, "-m", "automtl", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {})
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.stderr.read()
        yield Running(process, found[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Running]:
    """A server of one model, which tests leave as it is."""
    with serving(folder) as running:
        yield running


def ask(app: Any, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """Call an ASGI application as a server does."""
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"" if body is None else orjson.dumps(body), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": [], "query_string": b"",
        "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1), "root_path": "",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent)
