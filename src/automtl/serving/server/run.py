"""Run a server until it is told to stop; then it answers what it has accepted."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from automtl.errors import SettingsError
from automtl.serving.server.app import make_app
from automtl.serving.server.models import Models

BACKLOG = 2048


@dataclass(frozen=True)
class Listening:
    """Where a server listens, and what it writes to its log. `grace_s`: for answers after it was told to stop."""

    host: str = "127.0.0.1"
    port: int = 8000
    access_log: bool = False
    grace_s: float = 30.0


def serve(models: Models, token: str | None, listening: Listening, started: Callable[[str], None]) -> None:
    """Serve models until SIGTERM or SIGINT; SIGHUP loads them again. `started` is given the address.

    Raises SettingsError where the port is taken.
    """
    opened = open_socket(listening)
    host, port = opened.getsockname()[:2]
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("automtl.server").setLevel(logging.INFO)
    config = uvicorn.Config(
        make_app(models, token), log_level="info" if listening.access_log else "warning",
        access_log=listening.access_log, backlog=BACKLOG, timeout_keep_alive=75, lifespan="on", server_header=False,
        timeout_graceful_shutdown=max(int(listening.grace_s), 1),
    )  # fmt: skip
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _ignore)  # what uvicorn hands them back to after it has stopped
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_run(uvicorn.Server(config), opened, models))


async def _run(server: uvicorn.Server, opened: socket.socket, models: Models) -> None:
    reloads = set[asyncio.Task[None]]()

    def reload() -> None:
        for name in models.folders:
            task = asyncio.create_task(models.try_load(name))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    await server.serve([opened])


def _ignore(number: int, frame: object) -> None:
    """Do nothing at a signal whose work is done."""


def open_socket(listening: Listening) -> socket.socket:
    """Listen on an address. Raises SettingsError where that cannot be."""
    try:
        family = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((listening.host, listening.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"cannot listen on {listening.host}, port {listening.port}: {getattr(error, 'strerror', None) or error}; "
            "choose another --host or --port (0: any free port)"
        ) from None
