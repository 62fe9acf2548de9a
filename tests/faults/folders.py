"""Model folders of which one file was changed, with checksums that fit, as somebody would make them who wants to harm.

`python -m tests.faults.folders FOLDER --count 10000 --seed 0` fits some small models into the folder, then changes them
one file at a time, and loads and scores each in another process. Of every changed folder it asks:

- the process goes on: no signal, and no more than 10 seconds of the processor;
- nothing but an `AutomtlError` is raised, and it does not come of memory or recursion that ran out;
- at no time more memory is in use than with the model as it was, by more than twice the folder's size and 128 MiB;
- nothing is imported, started, connected or written;
- it is refused by an error that names the folder or its file, or all scores are finite numbers. Where nothing was
  changed that scores depend on, they are the same in all bits.

That scores stay the same cannot be asked where a number is changed that scores depend on: with a checksum that fits,
one finite weight is as good as another, and only a signature tells them apart. So it is asked of the files that scores
do not depend on: those that are written for people (metrics, curves, settings, the card), the coverage, the profile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.errors import AutomtlError
from automtl.predictor import Predictor
from automtl.system.manifest import MANIFEST, checksums
from automtl.system.memory import forget_peak, peak_memory_bytes
from tests.faults.mutations import Mutation, mutated
from tests.faults.small_models import fitted, table

SECONDS = 10  # of the processor, for a folder
PATIENCE = 120  # seconds of the clock, on a machine that may be busy
SPARE = 128 << 20  # bytes that a load may use beyond twice the folder's size
LIMIT = 4 << 30  # bytes of address space beyond those of the process before; more is refused by the system
ROWS = 40
UNSCORED = ("metrics", "history", "curves", "settings", "coverage", "profile", "card", "report")
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn",
    "socket.connect", "socket.getaddrinfo", "webbrowser.open", "pickle.find_class", "os.remove", "os.rename",
    "os.mkdir", "os.rmdir", "shutil.rmtree", "os.chmod", "os.link", "os.symlink",
)  # fmt: skip
RUN_OUT = ("MemoryError", "RecursionError", "allocate", "recursion")


@dataclass(frozen=True)
class Outcome:
    """What became of a folder: `refused`, `same`, `other` scores, or a finding; and the message."""

    kind: str
    message: str = ""
    seconds: float = 0.0
    bytes: int = 0

    @property
    def wrong(self) -> bool:
        """Tell whether it is a finding."""
        return self.kind not in ("refused", "same", "other")


class Watch:
    """Hears what the process does while a folder is loaded, and keeps what it must not do."""

    def __init__(self) -> None:
        self.active, self.heard = False, list[str]()
        sys.addaudithook(self)

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.active:
            return
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        bad = event == "import" and str(given[0]).partition(".")[0] in ("automtl_canary", "antigravity")
        if event in FORBIDDEN or bad or writes:
            self.heard.append(f"{event} {given!r}"[:200])


def scores_of(predictor: Predictor, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """Score rows together, and the first one alone."""
    found = {name: column.to_numpy() for name, column in predictor.predict(rows).to_dict().items()}
    alone = predictor.predict_rows(rows.head(1).to_dicts())
    return found | {f"{name} alone": column for name, column in alone.items()}


def judged(folder: Path, rows: pl.DataFrame, expected: dict[str, np.ndarray]) -> tuple[str, str]:
    """Load and score a folder; return the kind of outcome, and the message."""
    try:
        found = scores_of(Predictor.load(folder), rows)
    except AutomtlError as error:
        text = str(error)
        if any(word in text for word in RUN_OUT):
            return "ran out", text
        return "refused", text
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__}: {str(error)[:200]} ({last.filename}:{last.lineno})"
    if not all(np.isfinite(column).all() for column in found.values()):
        return "not finite", ""
    if found.keys() != expected.keys():
        return "other", "other columns"
    return ("same", "") if all(np.array_equal(found[name], expected[name]) for name in found) else ("other", "")


Plain = Callable[[str, Path], Outcome]  # judges without another process


def serve(pipe: Connection, models: dict[str, Path]) -> None:
    """Judge the folders whose paths come through the pipe, in a process of its own."""
    warnings.simplefilter("ignore")
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    rows = table().head(ROWS)
    later = rows.with_columns(row=pl.col("row") + 10_000)
    expected = {name: scores_of(Predictor.load(path), later) for name, path in models.items()}
    for name, path in models.items():
        judged(path, later, expected[name])
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT, used + LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watch = Watch()
    pipe.send(None)
    while (given := pipe.recv()) is not None:
        name, folder = given
        forget_peak()
        before, start = peak_memory_bytes(), time.process_time()
        watch.heard.clear()
        watch.active = True
        kind, message = judged(folder, later, expected[name])
        watch.active = False
        seconds, more = time.process_time() - start, peak_memory_bytes() - before
        if watch.heard:
            kind, message = "did something", "; ".join(watch.heard)
        pipe.send(Outcome(kind, message, seconds, more))


class Judge:
    """A process that judges folders, and another one where it has ended or hangs."""

    def __init__(self, models: dict[str, Path]) -> None:
        self.models, self.context = models, multiprocessing.get_context("spawn")
        self.process: Any = None

    def __call__(self, name: str, folder: Path) -> Outcome:
        """Return what becomes of a changed folder of a model."""
        if self.process is None:
            self._start()
        self.pipe.send((name, folder))
        if not self.pipe.poll(PATIENCE):
            self.end()
            return Outcome("hang")
        try:
            found: Outcome = self.pipe.recv()
        except EOFError:
            self.process.join()
            code, self.process = self.process.exitcode, None
            return Outcome("signal", signal.Signals(-code).name if code < 0 else f"exit {code}")
        size = sum(path.stat().st_size for path in folder.iterdir())
        if found.seconds > SECONDS:
            return Outcome("hang", found.message, found.seconds, found.bytes)
        if found.bytes > 2 * size + SPARE:
            return Outcome("memory", f"{found.bytes >> 20} MiB, {found.kind}: {found.message}", bytes=found.bytes)
        return found

    def _start(self) -> None:
        self.pipe, other = self.context.Pipe()
        self.process = self.context.Process(target=serve, args=(other, self.models), daemon=True)
        self.process.start()
        other.close()
        self.pipe.recv()

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def write(folder: Path, files: dict[str, bytes], mutation: Mutation) -> None:
    """Write a model folder with a changed file, whose checksum fits unless it is the manifest itself."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in (files | {mutation.name: mutation.content}).items():
        (folder / name).write_bytes(content)
    if mutation.name != MANIFEST:
        manifest = json.loads(files[MANIFEST])
        manifest["files"] |= checksums(folder, [mutation.name])
        (folder / MANIFEST).write_text(json.dumps(manifest))


def outcomes(models: dict[str, Path], numbers: range, seed: int, work: Path, judge: Judge | Plain) -> Counter[str]:
    """Judge the changed folders of these numbers, and print the findings; count all outcomes by kind."""
    contents = {name: {one.name: one.read_bytes() for one in path.iterdir()} for name, path in models.items()}
    found = Counter[str]()
    for number in numbers:
        rng = random.Random(f"{seed} {number}")
        name = rng.choice(sorted(models))
        mutation = mutated(contents[name], rng)
        write(work, contents[name], mutation)
        outcome = judge(name, work)
        if outcome.kind == "other" and mutation.name.startswith(UNSCORED):
            outcome = Outcome("scores moved", outcome.message)
        found[outcome.kind] += 1
        if outcome.wrong:
            what = f"{name}/{mutation.name} {mutation.what[:150]}: {outcome.message[:400]}"
            print(f"{number} {outcome.kind}: {what}", flush=True)
    return found


def main() -> int:
    """Judge changed folders; the exit code is 1 if there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="The number of the first changed folder.")
    given = parser.parse_args()
    models = {path.name: path for path in fitted(given.folder)}
    numbers, judge = range(given.first, given.first + given.count), Judge(models)
    with tempfile.TemporaryDirectory() as work:
        found = outcomes(models, numbers, given.seed, Path(work) / "model", judge)
    judge.end()
    print(f"{sum(found.values())} folders, seed {given.seed}: {dict(found)}")
    return 1 if any(Outcome(kind).wrong for kind in found) else 0


if __name__ == "__main__":
    sys.exit(main())
