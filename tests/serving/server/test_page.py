"""The walk of docs/serving.md, from a table to a served request, runs as printed, but for small settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from automtl.serving.server.run import Listening, open_socket
from tests.serving.server.conftest import QUICK

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"


def test_the_walk_from_a_table_to_a_served_request_runs(tmp_path: Path) -> None:
    (walk,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(walk.splitlines()) == 10
    with open_socket(Listening(port=0)) as free:
        port = str(free.getsockname()[1])
    (tmp_path / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    walk = walk.replace("8000", port).replace("--out runs/clicks", "--out runs/clicks --config quick.yaml")
    program = tmp_path / "bin" / "automtl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m automtl "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", walk], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r'"scores":\[\{"click":0\.\d+,"buy":0\.\d+\}\],"unknown":\[\[\]\]\}', done.stdout)
    assert "automtl_rows_total" in (tmp_path / "metrics.txt").read_text()
    assert "POST /models/clicks/predict" in (tmp_path / "page.html").read_text()
