"""The report of a saved run or comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from automtl.data.schema import Schema
from automtl.errors import ModelFolderError
from automtl.predictor import read_json, verify
from automtl.report.folder import PAGE, run_picture_files, run_report
from automtl.report.run import RunValues


def report_folder(
    folder: Path | str, out: Path | str | None = None, pictures: Path | str | None = None, *, png: bool = False
) -> list[Path]:
    """Write the report of a run folder to `out`, or its pictures into the folder `pictures`; returns what was written.

    Without either, the page goes beside the working directory's files as `report.html`. Raises ModelFolderError.
    """
    run = read_run(Path(folder))
    files = {} if pictures is None else {Path(pictures) / n: c for n, c in run_picture_files(run, png=png).items()}
    if out is not None or pictures is None:
        files[Path(out or PAGE)] = run_report(run).encode()
    for path, content in files.items():
        _write(path, content)
    return list(files)


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
