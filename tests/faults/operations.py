"""Let every operation on files fail in turn, for one command, and look at what is left.

    python -m tests.faults.operations FOLDER --command fit|compare|prepare|update|export

An operation is the opening of a file to write it, a write, a sync, a rename, a removal, a new folder. At each of them
the disk is full from then on, or the operation is refused, or the process is killed; once, every write is a short one.
After each fault the earlier result is there, or the new one, whole; an error is one line and exit code 2; and the same
command, given again, ends with the bytes of an undisturbed run and leaves nothing else behind. Prints what is wrong,
and ends with 1 if anything is.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.layer import Kind, Layer

TIMED = "timed"  # the column of the time, of which histories are made
TELL_EVERY = 20  # faults
CLOCKED = ("card.md", "history.json", "manifest.json", "metrics.json", "report.html")  # files that hold durations
PART = re.compile(r"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+")  # of a name that a process gives to what is not whole yet
FIT = """
model: mmoe
presets: []
training: {epochs: 1}
network: {embedding_size: 4, width: 8, towers: [8]}
budget: {save_every: 1ms}
"""


@dataclass(frozen=True)
class Case:
    """A command with its result `out`, after what `before` gives; of which an earlier result is there if `earlier`."""

    arguments: tuple[str, ...]
    out: str
    before: tuple[tuple[str, ...], ...] = ()
    earlier: tuple[str, ...] | None = None
    codes: tuple[int, ...] = (0, 2)
    fresh: tuple[str, ...] = ()


def cases() -> dict[str, Case]:
    """Return the commands; all paths are relative to the folder of a run."""
    rows = ("--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart")
    settings = ("--config", "fit.yaml")
    fit = ("fit", "log.parquet", *rows, *settings, "--out", "out")
    timed = ("fit", "early.parquet", *rows, "--time", TIMED, "--config", "timed.yaml", "--out", "out")
    prepare = ("prepare", "log.parquet", *rows, *settings, "--chunk-rows", "150", "--out", "out")
    compare = (
        "compare", "log.parquet", *rows, *settings, "--models", "mmoe,shared-bottom", "--jobs", "1", "--trials", "1",
        "--seeds", "1", "--out", "out",
    )  # fmt: skip
    return {
        "fit": Case((*fit, "--overwrite"), "out", earlier=(*fit, "--seed", "7"), fresh=fit),
        "prepare": Case((*prepare, "--overwrite"), "out", earlier=(*prepare, "--seed", "7"), fresh=prepare),
        "update": Case(("update", "out", "late.parquet"), "out", earlier=timed),
        "export": Case(("export", "model", "--out", "out.onnx"), "out.onnx", before=((*fit[:-1], "model"),)),
        "compare": Case(compare, "out", codes=(0, 1, 2)),
    }  # fmt: skip


def tables(folder: Path) -> None:
    """Write the tables and settings."""
    from automtl.tables.synthetic import synthetic_log

    log = synthetic_log(400, users=20, items=15, seed=1)
    log.write_parquet(folder / "log.parquet")
    timed = log.with_row_index(TIMED)
    timed[:300].write_parquet(folder / "early.parquet")
    timed[300:].write_parquet(folder / "late.parquet")
    (folder / "fit.yaml").write_text(FIT)
    (folder / "out.onnx").write_text("an earlier export")
    (folder / "timed.yaml").write_text(FIT + "encoder: {prune_histories: false}\n")


def inline_pool() -> None:
    """Let a comparison run its trials in this process, whose operations are counted."""
    from automtl.comparison import compare, process_pool

    class Inline:
        def __init__(
            self, count: int, work: Callable[..., object], start: Callable[..., None], *given: object, hang_after: float
        ) -> None:
            start(*given)
            self.work, self.count, self.running = work, count, list[object]()

        async def run(self, trial: object, started: Callable[[], None] = lambda: None) -> object:
            started()
            return self.work(trial)

        def close(self) -> None:
            """Nothing is to be closed."""

    assert process_pool.ProcessPool is compare.ProcessPool
    compare.ProcessPool = Inline  # type: ignore[assignment,misc]


def warm(modules: Path) -> None:
    """Import what a command has imported, three quarters of its time; nothing starts threads, so that we may fork."""
    for name in modules.read_text().splitlines():
        if name not in sys.modules:
            with suppress(Exception):  # a module that another one makes as it likes
                importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@dataclass(frozen=True)
class Ended:
    """How a run has ended: its exit code (negative: a signal), what it said, its operations."""

    code: int
    said: str
    operations: list[str]


def forked(folder: Path, work: Callable[[], object], layer: Layer | None = None) -> Ended:
    """Do work in a process of its own, in a folder; what it says goes to a file beside the folder."""
    said, met = folder.with_suffix(".said"), folder.with_suffix(".met")
    met.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            output = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(folder)
            if layer is not None:
                layer.install()
            work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            if layer is not None:
                layer.number, layer.kind = 0, Kind.KILL
                met.write_text("\n".join(layer.met))
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(code, said.read_text(errors="replace"), met.read_text().splitlines() if met.exists() else [])


def commanded(arguments: Sequence[str]) -> None:
    """Give a command."""
    from automtl.cli import main

    if arguments[0] == "compare":
        inline_pool()
    sys.argv = ["automtl", *arguments]
    main()


def hashes(out: Path) -> dict[str, str]:
    """Return the hashes of a result's files by name."""
    files = [out] if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out.parent)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def state(folder: Path) -> str:
    """Return a hash of all that is in a folder, but for the names of processes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: PART.sub("", str(path))):
        found.update(PART.sub("", str(path)).encode() + b"\0")
        found.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"folder")
    return found.hexdigest()


def whole(out: Path) -> bool:
    """Tell whether a folder that automtl wrote has all its files as they were."""
    from automtl.errors import AutomtlError
    from automtl.system.manifest import KINDS, kind_of

    try:
        next(kind for kind in KINDS if kind.name == kind_of(out)).verify(out)
    except (AutomtlError, StopIteration):
        return False
    return True


class Campaign:
    """The faults of one command. `wrong`: what was found."""

    def __init__(self, name: str, folder: Path, *, fresh: bool = False) -> None:
        self.name, self.case, self.folder = name, cases()[name], folder.resolve()
        self.fresh = fresh and bool(self.case.fresh)
        self.arguments = self.case.fresh if self.fresh else self.case.arguments
        self.base, self.run, self.wrong, self.made = self.folder / "base", self.folder / "run", list[str](), 0
        self.judged = set[str]()  # states from which the command was given again
        shutil.rmtree(self.folder, ignore_errors=True)
        self.base.mkdir(parents=True)
        self._must(lambda: tables(self.base))
        for arguments in (*self.case.before, *([self.case.earlier] if self.case.earlier and not self.fresh else [])):
            self._must(lambda given=arguments: commanded(given))  # type: ignore[misc]
        self.earlier = hashes(self.base / self.case.out)
        self.operations = self._undisturbed().operations
        warm(self.folder / "modules")
        self.new, self.left = hashes(self.run / self.case.out), self._left()
        self._undisturbed()
        again = hashes(self.run / self.case.out)
        self.same = {
            name for name, value in self.new.items() if again.get(name) == value and not name.endswith(CLOCKED)
        }

    def _must(self, work: Callable[[], object]) -> None:
        ended = forked(self.base, work)
        if ended.code:
            raise SystemExit(f"{self.name}: cannot begin: {ended.said}")

    def _undisturbed(self) -> Ended:
        self._begin()
        ended = forked(self.run, self._told, Layer(self.run))
        if ended.code:
            raise SystemExit(f"{self.name}: fails undisturbed: {ended.said}")
        return ended

    def _told(self) -> None:
        """Give the command, and write down what it has imported."""
        try:
            commanded(self.arguments)
        finally:
            (self.folder / "modules").write_text("\n".join(sys.modules))

    def _begin(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.base, self.run)

    def _left(self) -> set[str]:
        """Return the names of what lies in the folder; locks may stay."""
        return {path.name for path in self.run.iterdir() if not path.name.endswith(".lock")}

    def blame(self, what: str) -> None:
        """Note and print what is wrong."""
        self.wrong.append(what)
        print(f"  {what}", flush=True)

    def fault(self, number: int, kind: Kind) -> None:
        """Let one operation fail, look at what is left, and give the command again."""
        self._begin()
        self.made += 1
        ended = forked(self.run, lambda: commanded(self.arguments), Layer(self.run, number, kind))
        at = f"{self.name}, {kind} at {number} ({self.operations[number - 1].replace(str(self.run), '')[:90]})"
        self._check_end(ended, kind, at)
        self._check_result(at)
        left = state(self.run)
        if left in self.judged:
            return
        self.judged.add(left)
        again = forked(self.run, lambda: commanded(self.arguments))
        complete = self.fresh and again.code == 2 and "exists and is not empty" in again.said
        if again.code and not complete:
            self.blame(f"{at}: again, code {again.code}: {again.said[-300:]}")
            return
        found = hashes(self.run / self.case.out)
        differ = [name for name in self.same if found.get(name) != self.new[name]]
        if differ or found.keys() != self.new.keys():
            self.blame(f"{at}: again, other bytes: {differ or found.keys() ^ self.new.keys()}")
        if self._left() != self.left:
            self.blame(f"{at}: again, it leaves {sorted(self._left() ^ self.left)}")

    def short_writes(self) -> None:
        """Let every write take only a part of what it is given, once: the command ends as if nothing were."""
        self._begin()
        self.made += 1
        ended = forked(self.run, lambda: commanded(self.arguments), Layer(self.run, 0, Kind.SHORT))
        found = hashes(self.run / self.case.out) if (self.run / self.case.out).exists() else {}
        differ = [name for name in self.same if found.get(name) != self.new[name]]
        if ended.code or differ:
            self.blame(f"{self.name}, short writes: code {ended.code}, other bytes: {differ}: {ended.said[-300:]}")

    def _check_end(self, ended: Ended, kind: Kind, at: str) -> None:
        if kind is Kind.KILL:
            if ended.code not in (-signal.SIGKILL, 0):
                self.blame(f"{at}: code {ended.code}: {ended.said[-300:]}")
        elif ended.code not in self.case.codes or "Traceback" in ended.said:
            self.blame(f"{at}: code {ended.code}: {ended.said[-300:]}")

    def _check_result(self, at: str) -> None:
        """The earlier result must be there, or the new one: beside, in the moment in which they change places."""
        out = self.run / self.case.out
        if self.name == "compare":
            return  # its folder grows by results, each of which appears whole
        aside = out.with_name(f".{out.name}.replaced")
        found = out if out.exists() or not aside.exists() else aside
        names = hashes(found) if found.exists() else {}
        if found is aside:
            names = {name.replace(aside.name, out.name, 1): value for name, value in names.items()}
        fixed = {name: value for name, value in names.items() if name in self.same}
        if names == self.earlier or (fixed == {name: self.new[name] for name in self.same} and
                                     (found.is_file() or whole(found))):  # fmt: skip
            return
        self.blame(f"{at}: the result is neither the earlier nor the new one")

    def points(self, every: int, first: int) -> Iterator[tuple[int, Kind]]:
        """Yield every k-th pair of an operation and a fault."""
        pairs = [(number, kind) for number in range(1, len(self.operations) + 1) for kind in list(Kind)[:3]]
        yield from pairs[first::every]


@contextmanager
def counted(campaign: Campaign) -> Iterator[None]:
    """Print what was done in the block."""
    yield
    made = f"{len(campaign.operations)} operations, {campaign.made} faults, given again {len(campaign.judged)} times"
    print(f"{campaign.name}: {made}, wrong: {len(campaign.wrong)}", flush=True)


def main() -> int:
    """Run the faults of some commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--command", action="append", choices=list(cases()))
    parser.add_argument("--every", type=int, default=1, help="of all pairs of an operation and a fault, every k-th")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="no earlier result is there")
    given = parser.parse_args()
    wrong = 0
    for name in given.command or cases():
        campaign = Campaign(name, given.folder / name, fresh=given.fresh)
        with counted(campaign):
            campaign.short_writes()
            for number, kind in campaign.points(given.every, given.first):
                campaign.fault(number, kind)
                if campaign.made % TELL_EVERY == 0:
                    print(f"  {campaign.made} faults, wrong: {len(campaign.wrong)}", flush=True)
        wrong += len(campaign.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
