"""Models are loaded again without a gap; what cannot be loaded changes nothing."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from automtl.errors import SettingsError
from automtl.predictor import Predictor
from automtl.serving.server.models import named_folders
from tests.serving.server.conftest import Running, fitted, serving


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model of the same columns."""
    return fitted(tmp_path_factory.mktemp("other") / "other", seed=1)


def replaced(folder: Path, new: Path) -> None:
    """Put another model in the place of a folder."""
    shutil.rmtree(folder)
    shutil.copytree(new, folder)


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


class Clients:
    """Threads that ask one after another until they are stopped, and what they were answered."""

    def __init__(self, running: Running, model: str, rows: list[dict[str, Any]], count: int = 8) -> None:
        self.stopping, self.answers, self.lost = threading.Event(), list[tuple[int, Any]](), list[str]()
        self.address, self.body = f"{running.address}/models/{model}/predict", orjson.dumps({"rows": rows[:2]})
        self.threads = [threading.Thread(target=self._ask) for _ in range(count)]
        for one in self.threads:
            one.start()

    def _ask(self) -> None:
        with requests.Session() as session:
            while not self.stopping.is_set():
                try:
                    found = session.post(self.address, data=self.body, timeout=60)
                    self.answers.append((found.status_code, found.json()))
                except requests.ConnectionError as error:
                    self.lost.append(str(error))
                    return

    def stop(self) -> None:
        self.stopping.set()
        for one in self.threads:
            one.join()


@pytest.fixture(scope="module")
def reloading(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server of several copies of a model, which are in the folder, and which it loads again if they change."""
    copies = tmp_path_factory.mktemp("copies")
    names = ("a", "b", "c", "d")
    for name in names:
        shutil.copytree(folder, copies / name)
    with serving(*(copies / name for name in names), "--watch", "0.2") as running:
        yield running, copies
        code, errors = running.stop()
        assert code == 0 and "Traceback" not in errors


def version(running: Running, name: str) -> str:
    return str(running.get(f"/v2/models/{name}").json()["versions"][0])


def test_a_changed_folder_is_loaded_under_load_and_no_request_is_lost(
    reloading: tuple[Running, Path], folder: Path, other: Path, rows: list[dict[str, Any]]
) -> None:
    running, copies = reloading
    expected = [Predictor.load(one).predict(rows[:2])["click"].to_list() for one in (folder, other)]
    before, clients = version(running, "a"), Clients(running, "a", rows)
    until(lambda: len(clients.answers) > 20)
    replaced(copies / "a", other)
    until(lambda: version(running, "a") != before)
    asked, after = len(clients.answers), version(running, "a")
    until(lambda: len(clients.answers) > asked + 20)
    clients.stop()
    assert not clients.lost and {status for status, _ in clients.answers} == {200}
    assert {body["version"] for _, body in clients.answers} == {before, after}
    by_version = dict(zip((before, after), expected, strict=True))
    for _, body in clients.answers:
        clicks = [row["click"] for row in body["scores"]]
        assert clicks == pytest.approx(by_version[body["version"]], abs=1e-7)


def test_a_folder_that_cannot_be_loaded_leaves_the_model(reloading: tuple[Running, Path]) -> None:
    running, copies = reloading
    before = running.get("/models/b").json()
    (copies / "b" / "schema.yaml").write_text("damaged")
    for path in ("/models/b/reload", "/v2/repository/models/b/load"):
        found = running.post(path)
        assert found.status_code in (400, 422) and "schema.yaml" in found.json()["error"]
    assert running.get("/models/b").json() == before
    assert 'automtl_failed_loads_total{model="b"} 2.0' in running.get("/metrics").text


def test_sighup_loads_models_again(reloading: tuple[Running, Path]) -> None:
    running, _ = reloading
    first, before = running.get("/models/c").json()["loaded_at"], version(running, "c")
    running.process.send_signal(signal.SIGHUP)
    until(lambda: running.get("/models/c").json()["loaded_at"] > first)
    assert version(running, "c") == before


def test_a_model_may_be_unloaded_and_loaded(reloading: tuple[Running, Path]) -> None:
    running, _ = reloading
    assert running.get("/v2/health/ready").json() == {"ready": True}
    assert running.post("/v2/repository/models/d/unload").status_code == 200
    assert running.get("/v2/models/d/ready").status_code == 404
    assert running.get("/v2/health/ready").status_code == 503
    states = {one["name"]: one["state"] for one in running.post("/v2/repository/index").json()}
    assert states == dict.fromkeys("abc", "READY") | {"d": "UNAVAILABLE"}
    assert running.post("/v2/repository/models/d/load").status_code == 200
    assert running.get("/v2/health/ready").json() == {"ready": True}
    assert running.post("/v2/repository/models/e/load").status_code == 404


def test_names_of_models_are_those_of_folders_or_given() -> None:
    assert named_folders(["runs/clicks", "b=runs/clicks"]) == {"clicks": Path("runs/clicks"), "b": Path("runs/clicks")}
    for given, message in (
        (["a=x", "a=y"], "two models"),
        ([], "no model"),
        (["=x"], "no name"),
        (["a/b=x"], "no name"),
    ):
        with pytest.raises(SettingsError, match=message):
            named_folders(given)
