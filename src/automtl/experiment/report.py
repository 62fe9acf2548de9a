"""The report of a saved run or comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from automtl.errors import FileError
from automtl.predictor import read_part
from automtl.report.folder import (
    PAGE,
    comparison_picture_files,
    comparison_report,
    run_picture_files,
    run_report,
)
from automtl.report.run import RunValues
from automtl.system.files import read_json, write_whole, writing
from automtl.system.manifest import COMPARISON, MODEL
from automtl.tables.schema import Schema

RESULTS = "comparison.json"  # of a comparison that has ended


def report_folder(
    folder: Path | str, out: Path | str | None = None, pictures: Path | str | None = None, *, png: bool = False
) -> list[Path]:
    """Write the report of a run or comparison to `out`, or its pictures into a folder; returns what was written.

    Without either, the page is report.html in the working directory. Raises FileError.
    """
    folder = Path(folder)
    page, drawn = _comparison(folder, png) if COMPARISON.matches(folder) else _run(folder, png)
    files = {} if pictures is None else {Path(pictures) / name: content for name, content in drawn().items()}
    if out is not None or pictures is None:
        files[Path(out or PAGE)] = page().encode()
    for path, content in files.items():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return list(files)


def _run(folder: Path, png: bool) -> tuple[Callable[[], str], Callable[[], dict[str, bytes]]]:
    run = read_run(folder)
    return lambda: run_report(run), lambda: run_picture_files(run, png=png)


def _comparison(folder: Path, png: bool) -> tuple[Callable[[], str], Callable[[], dict[str, bytes]]]:
    found = read_comparison(folder)
    return lambda: comparison_report(found), lambda: comparison_picture_files(found, png=png)


def read_comparison(folder: Path) -> dict[str, Any]:
    """What comparison.json holds. Raises FileError where it cannot be read."""
    COMPARISON.read(folder)
    found: dict[str, Any] = read_json(folder / RESULTS, "it is written when a comparison has ended")
    return found


def read_run(folder: Path) -> RunValues:
    """The values of a run folder. Raises FileError that says what is wrong with it."""
    manifest = MODEL.verify(folder)
    values: dict[str, Any] = {
        name: read_part(folder, name) if f"{name}.json" in manifest["files"] else {}
        for name in ("metrics", "history", "settings", "curves")
    }
    if not values["metrics"]:
        raise FileError(f"'{folder}' has no metrics.json to report on; fit again with --out")
    schema = Schema.read(folder / "schema.yaml").to_dict()
    return RunValues(model=read_part(folder, "architecture"), schema=schema, version=manifest["automtl"], **values)
