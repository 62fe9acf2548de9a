"""Runs the blocks of a page of the documentation in their order, in the current folder, as a reader would."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from automtl.cli import main
from house import ROOT


class Reader:
    """Somebody who follows pages. `files`: what they have copied from the repository, by name; `port`: a free one.

    `small`: options that are added to a command, by its name, for speed.
    """

    def __init__(self, files: Mapping[str, Path], port: int = 8000, small: Mapping[str, Sequence[str]] | None = None):
        self.files, self.port, self.small = files, port, dict(small or {})
        self.names: dict[str, Any] = {}
        self.said: dict[str, str] = {}  # what each command printed

    def follow(self, page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Run all blocks of a page of docs/ that are programs or files."""
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for language, block in re.findall(r"^```(sh|python|yaml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if language == "python":
                exec(compile(block, page, "exec"), self.names)
            elif language == "yaml":
                if found := re.match(r"# ([\w-]+\.yaml)\n", block):
                    Path(found.group(1)).write_text(block, encoding="utf-8")
            elif re.search(r"&$", block, re.MULTILINE):
                self.shell(block)
            else:
                for line in block.replace("\\\n", " ").splitlines():
                    self.command(line, monkeypatch)
                    self.said[line.partition("  #")[0].strip()] = capsys.readouterr().out

    def command(self, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run one line in this process, where torch is loaded already."""
        program, *words = shlex.split(line, comments=True)
        if program == "python":
            runpy.run_path(str(self.files[words[0]]), run_name="__main__")
            return
        assert program == "automtl", line
        monkeypatch.setattr("sys.argv", [program, *words, *self.small.get(words[0], ())])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == (1 if words[0] == "drift" else 0), line  # drift: something was found

    def shell(self, block: str) -> None:
        """Run a block in a shell, since it starts something and goes on."""
        program = Path("bin/automtl").absolute()
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m automtl "$@"\n')
        program.chmod(0o755)
        environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
        patient = block.replace("8000", str(self.port)).replace("--retry 60", "--retry 600")  # on a busy machine
        command = ["bash", "-e", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{patient}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
