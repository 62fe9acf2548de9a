"""The Dockerfile: what it copies exists, what it runs is known, and its check tells a running server from none."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

from automtl.cli import app
from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from house import ROOT

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")
TEXT = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
STEPS = [tuple(line.split(" ", 1)) for line in TEXT.splitlines() if line and not line.startswith("#")]
QUICK = {
    "model": "mmoe",
    "report": False,
    "presets": [],
    "training": {"epochs": 1},
    "network": {"embedding_size": 4, "width": 8},
}
START_SECONDS = 120  # for a server to begin, on a busy machine


def step(name: str) -> str:
    """The arguments of the last step of a kind."""
    return [rest for kind, rest in STEPS if kind == name][-1]


def test_all_that_is_copied_exists_and_is_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    copied = [name for kind, rest in STEPS if kind == "COPY" for name in rest.split()[:-1]]
    assert "src" in copied and "pyproject.toml" in copied
    for name in copied:
        assert (ROOT / name).exists() and any(fnmatch(name, pattern) for pattern in kept), name


def test_it_runs_as_a_user_without_rights_a_command_that_automtl_has() -> None:
    assert step("USER") not in ("root", "0")
    entry, arguments = json.loads(step("ENTRYPOINT")), json.loads(step("CMD"))
    assert entry == ["automtl"]
    command: Any = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    with command.make_context(arguments[0], list(arguments[1:]), resilient_parsing=False) as context:
        assert context.params["models"] == ["/model"] and context.params["host"] == "0.0.0.0"
        assert str(context.params["port"]) == step("EXPOSE")


def test_the_extras_that_it_installs_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (extras,) = re.findall(r'^ARG EXTRAS="(.+)"$', TEXT, re.MULTILINE)
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras.split(","))


def test_its_check_tells_a_running_server_from_none(log: pl.DataFrame, tmp_path: Path) -> None:
    roles = ColumnRoles(drop=("like", "cart"))
    fit_table(log, ["click", "buy"], roles=roles, settings=make_settings(QUICK), out=tmp_path / "model")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    check = json.loads(step("HEALTHCHECK").split("CMD ", 1)[1])
    code = check[2].replace(step("EXPOSE"), port)
    assert check[0] == "python" and port in code
    asked = [sys.executable, *check[1:2], code]
    assert subprocess.run(asked, capture_output=True).returncode != 0
    arguments = [text.replace("/model", str(tmp_path / "model")) for text in json.loads(step("CMD"))]
    arguments = ["127.0.0.1" if text == "0.0.0.0" else port if text == step("EXPOSE") else text for text in arguments]
    server = subprocess.Popen([sys.executable, "-m", "automtl", *arguments], stdout=subprocess.PIPE)
    try:
        end = time.monotonic() + START_SECONDS
        while subprocess.run(asked, capture_output=True).returncode and time.monotonic() < end:
            assert server.poll() is None, "the server ended"
            time.sleep(1)
        assert subprocess.run(asked, capture_output=True).returncode == 0
    finally:
        server.terminate()
        server.communicate(timeout=60)
