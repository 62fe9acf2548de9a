"""Every operation of what is written whole fails in turn, and a few of a command; `make faults` takes all commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from automtl.errors import FileError
from automtl.system.files import folder_written_whole, write_whole
from tests.faults.layer import Kind, Layer
from tests.faults.operations import forked, hashes

REFUSED = 2


def write_file(folder: Path) -> None:
    write_whole(folder / "out", "new" * 40_000)


def write_folder(folder: Path) -> None:
    with folder_written_whole(folder / "out", overwrite=True) as fresh:
        (fresh / "inner").mkdir()
        write_whole(fresh / "inner" / "one", "new")
        (fresh / "two").write_text("new too")


def asked(work: Callable[[Path], None], folder: Path) -> None:
    try:
        work(folder)
    except FileError:
        sys.exit(REFUSED)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.parametrize("work", [write_file, write_folder])
def test_what_is_written_whole_is_old_or_new_after_any_fault_and_new_after_the_next_try(
    work: Callable[[Path], None], tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def begin() -> dict[str, str]:
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        place = run / "out"
        if work is write_folder:
            place.mkdir()
            place = place / "one"
        place.write_text("old")
        return hashes(run / "out")

    def given(layer: Layer | None = None) -> int:
        return forked(run, lambda: asked(work, run), layer).code

    old = begin()
    operations = forked(run, lambda: asked(work, run), Layer(run)).operations
    new = hashes(run / "out")
    for number in range(1, len(operations) + 1):
        for kind in list(Kind) if work is write_file else [list(Kind)[number % 4]]:
            begin()
            code = given(Layer(run, number, kind))
            aside = run / ".out.replaced"
            left = run / "out" if (run / "out").exists() else aside
            found = {name.replace(aside.name, "out", 1): value for name, value in hashes(left).items()}
            assert found in (old, new), (kind, number, operations[number - 1])
            assert code == -9 if kind is Kind.KILL else code in (0, REFUSED), (kind, number, operations[number - 1])
            assert given() == 0
            assert hashes(run / "out") == new
            assert [path.name for path in run.iterdir()] == ["out"], (kind, number, operations[number - 1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_preparation_outlives_faults_at_some_of_its_operations(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.operations", str(tmp_path), "--command", "prepare", "--every", "500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "wrong: 0" in done.stdout, done.stdout + done.stderr
