"""Object storage that tests read: fsspec's memory, and a web server of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest

from automtl.system import storage


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing; what is called `secret` is forbidden."""

    def do_GET(self) -> None:
        if "secret" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *given: object) -> None:
        pass


@contextmanager
def web(folder: Path) -> Iterator[str]:
    """Serve a folder; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def put(folder: Path, address: str) -> str:
    """Copy the files of a folder to an address of the memory."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.upload(path, f"{address}/{path.relative_to(folder).as_posix()}")
    return address


@contextmanager
def memory() -> Iterator[None]:
    """Begin and end with an empty memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    try:
        yield
    finally:
        system.store.clear()


@contextmanager
def fetches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note what is fetched in the block."""
    noted: list[str] = []
    fetch = storage.fetch

    def noting(file: storage.StoredFile, path: Path) -> None:
        noted.append(str(file).rpartition("/")[2])
        fetch(file, path)

    with monkeypatch.context() as patch:
        for module in ("automtl.system.cache", "automtl.dataset.stored"):
            patch.setattr(f"{module}.fetch", noting)
        yield noted
