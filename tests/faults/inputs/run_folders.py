"""Run folders whose values for people were changed, with checksums that fit, through a command that reads them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from automtl.cli import app
from automtl.config import make_settings, read_settings, recorded_seed
from automtl.experiment import ColumnRoles, fit_table
from automtl.experiment.acceptance import recorded_skills
from automtl.experiment.recorded import RecordedFit
from automtl.experiment.refit import read_refusals
from automtl.predictor import Predictor
from automtl.tables.synthetic import synthetic_log
from tests.faults.folders import write
from tests.faults.mutations import mutated

CHANGED = ("metrics.json", "history.json", "curves.json", "settings.json", "coverage.json", "profile.json")
SMALL = {
    "model": "mmoe", "ensemble": True, "presets": [], "training": {"epochs": 1}, "trees": {"rounds": 3},
    "network": {"embedding_size": 2, "width": 4, "towers": [4]}, "selection": {"bags": 0, "steps": 2},
    "encoder": {"prune_histories": False},
}  # fmt: skip
ROLES = {"plain": ColumnRoles(drop=("like", "cart", "row")), "timed": ColumnRoles(drop=("like", "cart"), time="row")}


@cache
def run(name: str) -> tuple[Path, dict[str, bytes]]:
    """Fit a small ensemble, without histories or with them; return its folder and the content of its files."""
    folder = Path(mkdtemp())
    log = synthetic_log(240, users=10, items=10, seed=0).with_row_index("row")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_table(log[:200], ["click", "buy"], roles=ROLES[name], settings=make_settings(SMALL), out=folder / "run")
    log[200:].write_parquet(folder / "later.parquet")
    return folder, {path.name: path.read_bytes() for path in (folder / "run").iterdir()}


def recorded(model: Path, later: Path, folder: Path) -> None:
    """Look up what a distillation and a refit take from a run."""
    found = RecordedFit.read(model)
    tasks = Predictor.load(model).schema.tasks
    recorded_skills(found.part("metrics")["test"], found.part("curves")["labels"], tasks)
    for row in found.leaderboard:
        found.training_of(row["name"])
        found.trees_of(row["name"])
        assert row.get("seconds") is None or row["seconds"] * 2 is not None
    assert int((found.part("history").get("refit") or {}).get("number", 0)) is not None
    read_refusals(model)


def settings(model: Path, later: Path, folder: Path) -> None:
    """Read the settings for another fit."""
    assert recorded_seed(model / "settings.json") >= 0
    read_settings(model / "settings.json")


def command(*words: str) -> Callable[[Path, Path, Path], None]:
    """Give a command."""

    def given(model: Path, later: Path, folder: Path) -> None:
        places = {"MODEL": str(model), "LATER": str(later), "OUT": str(folder / "out" / "file")}
        app([places.get(word, word) for word in words], standalone_mode=False)

    return given


READERS: dict[str, Callable[[Path, Path, Path], None]] = {
    "inspect": command("inspect", "MODEL"), "inspect json": command("inspect", "MODEL", "--json"),
    "leaderboard": command("leaderboard", "MODEL"), "leaderboard json": command("leaderboard", "MODEL", "--json"),
    "card": command("card", "MODEL"), "evaluate": command("evaluate", "MODEL", "LATER"),
    "drift": command("drift", "MODEL", "LATER"), "predict": command("predict", "MODEL", "LATER", "--out", "OUT"),
    "recorded": recorded, "settings": settings, "report": command("report", "MODEL", "--out", "OUT"),
}  # fmt: skip


def try_run_folder(rng: Random, folder: Path) -> None:
    """Change a file of a run, and let one reader read it."""
    place, files = run(rng.choice(list(ROLES)))
    mutation = mutated({name: files[name] for name in CHANGED}, rng)
    write(folder / "run", files, mutation)
    shutil.rmtree(folder / "out", ignore_errors=True)
    READERS[rng.choice(list(READERS))](folder / "run", place / "later.parquet", folder)
