"""Our side of a peer: its virtual environment, made on demand, and the worker process in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import torch

from common import Seconds
from peers.sizes import Sizes

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / ".venv-peers"
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(64 * 2**20)}


def environment(name: str) -> Path:
    """The folder of the virtual environment with what `peers/NAME.txt` asks for; made if it is not there."""
    folder, wanted, constraints = ENVIRONMENTS / name, HERE / f"{name}.txt", ROOT / "constraints.txt"
    ready, asked = folder / "ready", wanted.read_text() + constraints.read_text()
    if not (ready.is_file() and ready.read_text() == asked):
        print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [folder / "bin" / "pip", "install", "--quiet", "--constraint", constraints, "--requirement", wanted]
        subprocess.run(install, check=True)
        ready.write_text(asked)
    return folder


class Peer:
    """A worker process that holds `sizes`' model and `rows` rows of its data. Use it in a `with` statement.

    keep_memory: tell the worker's allocator what `automtl.system.memory` tells ours.
    """

    def __init__(self, name: str, sizes: Sizes, rows: int, *, keep_memory: bool = False) -> None:
        self.name = name
        folder = environment(name)
        self.log = (folder / "worker.log").open("w")
        module = f"peers.{name.replace('-', '_')}_worker"
        self.process = subprocess.Popen(
            [folder / "bin" / "python", "-m", module, sizes.text(), str(rows)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=HERE.parent,
            env=os.environ | {"BENCHMARK_THREADS": str(torch.get_num_threads())} | (KEEP if keep_memory else {}),
        )  # fmt: skip
        while self._answer() != "ready":
            pass  # what a library prints on import

    def ask(self, command: str, count: int = 0) -> Seconds:
        """The number that the worker answers: seconds, mostly. Raises RuntimeError if the worker died."""
        assert self.process.stdin is not None
        print(command, count, file=self.process.stdin, flush=True)
        return Seconds(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"the worker of {self.name} died; see {self.log.name}")
        return line

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.log.close()
