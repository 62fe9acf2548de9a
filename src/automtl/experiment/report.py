"""The report of a saved run or comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from automtl.errors import ModelFolderError
from automtl.predictor import read_json, verify
from automtl.report.folder import (
    PAGE,
    comparison_picture_files,
    comparison_report,
    run_picture_files,
    run_report,
)
from automtl.report.run import RunValues
from automtl.tables.schema import Schema

COMPARISON, COMPARISON_FORMAT = "comparison.json", 1


def report_folder(
    folder: Path | str, out: Path | str | None = None, pictures: Path | str | None = None, *, png: bool = False
) -> list[Path]:
    """Write the report of a run or comparison to `out`, or its pictures into a folder; returns what was written.

    Without either, the page is report.html in the working directory. Raises ModelFolderError.
    """
    folder = Path(folder)
    page, drawn = _comparison(folder, png) if (folder / COMPARISON).is_file() else _run(folder, png)
    files = {} if pictures is None else {Path(pictures) / name: content for name, content in drawn().items()}
    if out is not None or pictures is None:
        files[Path(out or PAGE)] = page().encode()
    for path, content in files.items():
        _write(path, content)
    return list(files)


def _run(folder: Path, png: bool) -> tuple[Callable[[], str], Callable[[], dict[str, bytes]]]:
    run = read_run(folder)
    return lambda: run_report(run), lambda: run_picture_files(run, png=png)


def _comparison(folder: Path, png: bool) -> tuple[Callable[[], str], Callable[[], dict[str, bytes]]]:
    found = read_comparison(folder)
    return lambda: comparison_report(found), lambda: comparison_picture_files(found, png=png)


def read_comparison(folder: Path) -> dict[str, Any]:
    """What comparison.json holds. Raises ModelFolderError where it cannot be read."""
    found = read_json(folder, COMPARISON.removesuffix(".json"))
    if not isinstance(found, dict) or found.get("format") != COMPARISON_FORMAT:
        raise ModelFolderError(
            f"'{folder / COMPARISON}' is no comparison of format {COMPARISON_FORMAT}; compare again with this automtl"
        )
    return found


def read_run(folder: Path) -> RunValues:
    """The values of a run folder. Raises ModelFolderError that says what is wrong with it."""
    manifest = verify(folder)
    values: dict[str, Any] = {
        name: read_json(folder, name) if f"{name}.json" in manifest["files"] else {}
        for name in ("metrics", "history", "settings", "curves")
    }
    if not values["metrics"]:
        raise ModelFolderError(f"'{folder}' has no metrics.json to report on; fit again with --out")
    schema = Schema.read(folder / "schema.yaml").to_dict()
    return RunValues(model=read_json(folder, "architecture"), schema=schema, version=manifest["automtl"], **values)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise ModelFolderError(f"'{path}' cannot be written: {error.strerror}; choose another path") from None
