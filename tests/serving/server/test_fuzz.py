"""Requests made of the server's own OpenAPI document find no server error, and no answer that it does not describe."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

from tests.serving.server.conftest import Running

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_made_up_requests_find_no_server_error(server: Running, tmp_path: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    command = [
        str(program), "run", f"{server.address}/openapi.json", "--exclude-path-regex", "load$", "--checks", CHECKS,
        "--phases", "examples,fuzzing", "--max-examples", "12", "--seed", "0", "--no-color",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert found.returncode == 0, found.stdout[-5000:]
    generated = re.search(r"(\d+) generated", found.stdout)
    assert generated and int(generated[1]) >= 100
