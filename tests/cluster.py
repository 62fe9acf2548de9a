"""Kill workers and nodes of a Ray cluster while it works, and hold the results against undisturbed ones.

    python -m tests.cluster FOLDER     # or: make cluster; undisturbed results that are in the folder are used again
    python -m tests.cluster FOLDER --only prepare fit

The cluster is real, and all of it runs on this machine: a node that is its head, and one that is killed and replaced.
It needs `pip install 'automtl[cluster]'`. Prints what was done and what differs; the exit code is 1 if anything does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automtl.experiment.unfinished import unfinished_folder
from automtl.tables.synthetic import synthetic_log
from tests.faults.kills import differences

SETTINGS = """
presets: [{name: plain}]
training: {epochs: 12, batch_size: 256, patience: 12}
network: {embedding_size: 8, width: 16, towers: [8], dropout: 0.0}
budget: {save_every: 1ms}
"""
TASKS = ["--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart"]
FIT = ["fit", "log.parquet", *TASKS, "--config", "settings.yaml", "--model", "mmoe"]
COMPARE = ["compare", "log.parquet", *TASKS, "--config", "settings.yaml", "--models", "mmoe,shared-bottom"]
COMPARE += ["--seeds", "2", "--trials", "1", "--jobs", "2"]
PREPARE = ["prepare", "parts", *TASKS, "--chunk-rows", "500"]
COMMANDS = {"fit": [*FIT, "--workers", "2"], "compare": COMPARE, "prepare": PREPARE}
PARTS = 4  # files that are prepared, each with ten times the rows of the table that is fitted
PATIENCE = 20  # seconds for which a lost node is waited for
ROUNDED = 1e-3  # of a log loss: what another number of workers may change
CHANGING = ("made", "seconds", "peak_memory_bytes")


class Nodes:
    """A cluster of two nodes with a CPU each; the second one can be lost and replaced."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.second = self.cluster.add_node(num_cpus=1)
        self.address: str = self.cluster.address

    def lose(self) -> None:
        """End all processes of the second node at once."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def replace(self) -> None:
        """Add a node in place of the lost one."""
        self.second = self.cluster.add_node(num_cpus=1)


@contextmanager
def nodes() -> Iterator[Nodes]:
    """Run a cluster for the block."""
    found = Nodes()
    try:
        yield found
    finally:
        found.cluster.shutdown()


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def started(folder: Path, arguments: Sequence[str], out: str, *more: str) -> subprocess.Popen[str]:
    """Start a command of automtl in the folder."""
    command = [sys.executable, "-m", "automtl", *arguments, "--out", out, *more]
    say(" ".join(["automtl", *command[3:]]))
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a command; show what it said of workers. Raises SystemExit where it failed."""
    said = process.communicate()[0]
    for line in said.splitlines():
        if any(part in line for part in ("ended by", "room for", "in place of")) or process.returncode:
            say(f"  it says: {line}")
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")


def until(ready: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something that a command does."""
    while not ready():
        if process.poll() is not None:
            ended(process)
            raise SystemExit("the command ended before it could be disturbed; give it more to do")
        time.sleep(0.02)


def processes(*parts: str) -> list[int]:
    """Return the processes that descend from this one and have all of the parts in their command and environment."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            text = ((one / "cmdline").read_bytes() + b"\0" + (one / "environ").read_bytes()).decode(errors="replace")
            if all(part in text for part in parts) and os.getpid() in _ancestors(int(one.name)):
                found.append(int(one.name))
        except OSError:
            continue
    return found


def _ancestors(process: int) -> list[int]:
    found = [process]
    while found[-1] > 1:
        found.append(int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
    return found[1:]


def trials() -> list[int]:
    """Return the processes of trials, which are children of Ray's."""
    every = processes("multiprocessing.spawn", "--multiprocessing-fork")
    return [one for one in every if "ray::" in Path(f"/proc/{_ancestors(one)[0]}/cmdline").read_text()]


def newer_than(moment: float, states: Path) -> Callable[[], bool]:
    """Tell whether a fit has saved a state since a moment."""
    return lambda: any(_changed(path) > moment for path in states.glob("*.safetensors"))


def fit_disturbed(folder: Path, cluster: Nodes) -> bool:
    """Fit on the cluster; kill a worker, then a node, each after the fit has saved a state since the last kill."""
    states = unfinished_folder(folder / "fit-cluster")
    process = started(folder, COMMANDS["fit"], "fit-cluster", "--address", cluster.address)
    until(newer_than(0.0, states), process)
    (worker,) = processes("fit-cluster", "RANK=1\0", "WORLD_SIZE=2\0")
    os.kill(worker, signal.SIGKILL)
    say(f"  killed worker 1, process {worker}, after {len(list(states.glob('*.safetensors')))} states")
    until(newer_than(time.time() + 1.0, states), process)
    cluster.lose()
    say("  killed the second node")
    time.sleep(5)
    cluster.replace()
    say("  added a node")
    ended(process)
    return same_fit(folder, "fit-cluster")


def driver_disturbed(folder: Path, cluster: Nodes) -> bool:
    """Fit on the cluster; kill the command itself, see that its workers end, and give it again."""
    states = unfinished_folder(folder / "fit-driver")
    process = started(folder, COMMANDS["fit"], "fit-driver", "--address", cluster.address)
    until(newer_than(0.0, states), process)
    workers, begin = processes("fit-driver", "WORLD_SIZE=2\0"), time.monotonic()
    process.kill()
    process.communicate()
    say(f"  killed the command, of whose {len(workers)} workers")
    while left := [one for one in workers if Path(f"/proc/{one}").exists()]:
        if time.monotonic() > begin + 120:
            say(f"  {left} are left: ORPHANS")
            return False
        time.sleep(0.1)
    say(f"  none is left after {time.monotonic() - begin:.1f} s")
    ended(started(folder, COMMANDS["fit"], "fit-driver", "--address", cluster.address))
    return same_fit(folder, "fit-driver")


def elastic_disturbed(folder: Path, cluster: Nodes) -> bool:
    """Fit by one or two workers; kill a node, which is not replaced."""
    states = unfinished_folder(folder / "fit-elastic")
    process = started(folder, FIT, "fit-elastic", "--workers", "1:2", "--address", cluster.address)
    until(newer_than(0.0, states), process)
    cluster.lose()
    say("  killed the second node, which is not replaced")
    ended(process)
    one, other = (json.loads((folder / f"fit-{name}" / "metrics.json").read_text()) for name in ("here", "elastic"))
    losses = [{name: task["log_loss"] for name, task in run["test"]["tasks"].items()} for run in (one, other)]
    apart = max(abs(losses[0][name] - losses[1][name]) for name in losses[0])
    say(f"elastic: workers {other['made']['workers']}; log losses of test rows differ by {apart:.1e} at most")
    cluster.replace()
    return bool(apart <= ROUNDED and other["made"]["workers"] == [2, 1])


def same_fit(folder: Path, name: str) -> bool:
    """Compare a fit with the undisturbed one."""
    wrong = differences(folder, "fit-here", name)
    say(f"{name}: different files: {wrong or 'none'}")
    return not wrong


def prepare_disturbed(folder: Path, cluster: Nodes) -> bool:
    """Prepare on the cluster; kill a node while it reads, and one when the first encoded rows have come."""
    encoded = folder / ".prepare-cluster.prepare" / "encoded"
    process = started(folder, PREPARE, "prepare-cluster", "--workers", "2", "--address", cluster.address)
    until(lambda: list(encoded.parent.glob("chunks/01*")), process)
    cluster.lose()
    say("  killed the second node, while two read")
    cluster.replace()
    until(lambda: any(_size(path) for path in encoded.glob(".train.*/*")), process)
    cluster.lose()
    say("  killed the second node, while training rows are encoded")
    ended(process)
    cluster.replace()
    one, other = folder / "prepare-here", folder / "prepare-cluster"
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    changed = [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]
    say(f"prepare: different files of {len(names)}: {changed or 'none'}")
    return not changed


def compare_disturbed(folder: Path, cluster: Nodes) -> bool:
    """Compare on the cluster; kill the process of a trial, then a node."""
    process = started(folder, COMPARE, "compare-cluster", "--address", cluster.address)
    until(trials, process)
    killed = trials()[0]
    os.kill(killed, signal.SIGKILL)
    say(f"  killed the process {killed} of a trial")
    until(lambda: list((folder / "compare-cluster" / "results").glob("test-*.json")), process)
    cluster.lose()
    say("  killed the second node, which is not replaced")
    ended(process)
    cluster.replace()
    here, there = (
        json.loads((folder / f"compare-{one}" / "comparison.json").read_text()) for one in ("here", "cluster")
    )
    same = bool(timeless(here) == timeless(there))
    say(f"compare: comparison.json without days, times and memory is {'the same' if same else 'DIFFERENT'}")
    return same


DISTURBED: dict[str, tuple[str, Callable[[Path, Nodes], bool]]] = {  # what is undisturbed, and what is disturbed
    "fit": ("fit", fit_disturbed), "driver": ("fit", driver_disturbed), "elastic": ("fit", elastic_disturbed),
    "prepare": ("prepare", prepare_disturbed), "compare": ("compare", compare_disturbed),
}  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def timeless(values: Any) -> Any:
    """Leave out days, times and memory."""
    if isinstance(values, dict):
        return {name: timeless(value) for name, value in values.items() if name not in CHANGING}
    return [timeless(value) for value in values] if isinstance(values, list) else values


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--only", nargs="+", choices=DISTURBED, default=list(DISTURBED))
    given = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0", "AUTOMTL_CLUSTER_PATIENCE": str(PATIENCE)}
    folder = given.folder.absolute()
    if not folder.exists():
        make_tables(folder, given.rows)
    for old in (*folder.glob("*-cluster"), *folder.glob("fit-driver*"), *folder.glob("fit-elastic*")):
        shutil.rmtree(old)
    for name in dict.fromkeys(DISTURBED[one][0] for one in given.only):
        if not (folder / f"{name}-here" / "manifest.json").exists():
            shutil.rmtree(folder / f"{name}-here", ignore_errors=True)
            ended(started(folder, COMMANDS[name], f"{name}-here"))
    with nodes() as cluster:
        say(f"a cluster of two nodes at {cluster.address}")
        good = [DISTURBED[name][1](folder, cluster) for name in given.only]
    return 0 if all(good) else 1


def make_tables(folder: Path, rows: int) -> None:
    """Write what is fitted and prepared."""
    (folder / "parts").mkdir(parents=True)
    synthetic_log(rows, seed=1).write_parquet(folder / "log.parquet")
    for part in range(PARTS):
        synthetic_log(10 * rows, seed=part).write_parquet(folder / "parts" / f"{part}.parquet")
    (folder / "settings.yaml").write_text(SETTINGS)


if __name__ == "__main__":
    sys.exit(main())
