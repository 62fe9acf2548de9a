"""Every store keeps batches in order, whole, and for all who share it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from automtl.errors import FileError, SettingsError
from automtl.serving.online.store import Store, open_store


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    pytest.importorskip("redis")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        for _ in range(100):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


@pytest.fixture(params=["folder", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "events")
    return f"{request.getfixturevalue('redis_address')}/{tmp_path.name}"


@pytest.fixture
def stores(where: str) -> Iterator[tuple[Store, Store]]:
    one, other = open_store(where), open_store(where)
    yield one, other
    one.close()
    other.close()


def test_batches_are_numbered_without_a_gap_and_seen_by_all(stores: tuple[Store, Store]) -> None:
    one, other = stores
    assert [one.append(b"a"), other.append(b"\x00\xff"), one.append(b"")] == [1, 2, 3]
    assert one.read(0) == other.read(0) == [(1, b"a"), (2, b"\x00\xff"), (3, b"")]
    assert other.read(2) == [(3, b"")] and one.read(3) == []


def test_a_snapshot_takes_the_place_of_the_batches_before_it(stores: tuple[Store, Store]) -> None:
    one, other = stores
    assert one.snapshot() is None
    for batch in (b"a", b"b", b"c"):
        one.append(batch)
    one.save_snapshot(2, b"all")
    assert other.snapshot() == (2, b"all") and other.read(0) == [(2, b"b"), (3, b"c")]
    assert other.append(b"d") == 4


def test_what_was_appended_is_there_after_reopening(where: str) -> None:
    one = open_store(where)
    one.append(b"a")
    one.close()
    again = open_store(where)
    assert again.read(0) == [(1, b"a")]
    again.close()


def test_stores_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"file/events.sqlite'.*give another folder"):
        open_store(tmp_path / "file")
    (tmp_path / "events.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(FileError, match="not a database"):
        open_store(tmp_path)
    with pytest.raises(SettingsError, match="ftp://.*give a folder"):
        open_store("ftp://somewhere")
    pytest.importorskip("redis")
    with pytest.raises(FileError, match="is it running"):
        open_store(f"redis://127.0.0.1:{free_port()}/0")
