"""Kill a fit with SIGKILL at random moments until it ends, and hold it against one that nothing disturbed.

    python -m tests.faults.kills FOLDER --kills 50 --seed 0

Each fit is a process of its own; it saves its state after every batch. Where it has ended after fewer kills, the next
one begins. Prints the number of kills and what differs; the exit code is 1 if anything does.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from automtl.experiment.unfinished import unfinished_folder
from automtl.tables.synthetic import synthetic_log

SETTINGS = """
search: {trainings: 3}
training: {epochs: 4}
trees: {rounds: 60, learning_rate: 0.1}
budget: {save_every: 1ms}
"""
RESULTS = ("architecture.json", "coverage.json", "encoder.json", "encoder.safetensors", "schema.yaml")


def command(folder: Path, out: str) -> list[str]:
    """Return the command of the fit."""
    tasks = ["--task", "click", "--task", "buy", "--drop", "like", "--drop", "cart"]
    settings = ["--config", str(folder / "settings.yaml"), "--seed", "3", "--out", str(folder / out)]
    return [sys.executable, "-m", "automtl", "fit", str(folder / "log.parquet"), *tasks, *settings]


def prepare(folder: Path, rows: int = 4000) -> None:
    """Write the table and the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    synthetic_log(rows, seed=1).write_parquet(folder / "log.parquet")
    (folder / "settings.yaml").write_text(SETTINGS)


def fit_killed(folder: Path, out: str, delay: float, number: int = signal.SIGKILL) -> int | None:
    """Begin the fit, and end it so many seconds after it has begun to save states; return None if it was quicker."""
    states = unfinished_folder(folder / out)
    before = {path.name for path in states.glob("*.safetensors")}
    process = subprocess.Popen(command(folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and {path.name for path in states.glob("*.safetensors")} <= before:
        time.sleep(0.01)
    time.sleep(delay)
    if process.poll() is None:
        process.send_signal(number)
    said = process.communicate()[1]
    if process.returncode not in (0, -number, 75):
        raise SystemExit(f"the fit failed: {said}")
    return None if (folder / out).is_dir() else process.returncode  # it may be killed when all is done


def differences(folder: Path, first: str, second: str) -> list[str]:
    """Return the names of the files that decide scores and differ."""
    one, other = folder / first, folder / second
    names = [*RESULTS, *(path.name for path in one.glob("*.safetensors"))]
    return [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]


def main() -> int:
    """Run the kills."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    prepare(given.folder)
    subprocess.run([*command(given.folder, "whole"), "--overwrite"], check=True, capture_output=True)
    rng, kills, fits, wrong = random.Random(given.seed), 0, 0, list[str]()
    while kills < given.kills:
        while fit_killed(given.folder, "cut", rng.uniform(0, 2)) is not None:
            kills += 1
        fits += 1
        wrong += differences(given.folder, "whole", "cut")
        shutil.rmtree(given.folder / "cut")
        shutil.rmtree(unfinished_folder(given.folder / "cut"), ignore_errors=True)
        print(f"{kills} kills, {fits} fits, different: {wrong or 'nothing'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
