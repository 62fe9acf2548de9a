"""Write the report of a saved run or comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from automtl.ensemble.saved_model import read_part
from automtl.errors import AutomtlError, FileError, brief
from automtl.experiment.permutation_importance import Importance
from automtl.report.comparison import comparison_pictures
from automtl.report.folder import PAGE, comparison_report, picture_files, run_report
from automtl.report.run import RunValues, run_pictures
from automtl.system.files import read_json, write_whole, writing
from automtl.system.manifest import COMPARISON, MODEL
from automtl.system.trust import names_of_folder
from automtl.tables.schema import Schema

RESULTS = "comparison.json"  # written when a comparison has ended


def report_folder(
    folder: Path | str, out: Path | str | None = None, pictures: Path | str | None = None, *, png: bool = False,
    importance: Path | str | None = None,
) -> list[Path]:  # fmt: skip
    """Write the page of a run or comparison to `out`, and its pictures into a folder; return the paths of all files.

    Without either, the page is report.html in the working directory. `importance`: a file of `automtl importance`,
    which the page of a run shows, too. Raises FileError.
    """
    measured = () if importance is None else read_importance(Path(importance))
    with names_of_folder(), showing(folder):
        return _report(Path(folder), out, pictures, png=png, importance=measured)


def read_importance(path: Path) -> list[dict[str, Any]]:
    """Read what `automtl importance` wrote. Raises FileError for anything else."""
    remedy = "write it with 'automtl importance MODEL TABLE --out FILE'"
    found = read_json(path, remedy)
    try:
        return [asdict(Importance(**one)) for one in found]
    except TypeError:
        raise FileError(f"'{path}' is no importance of columns; {remedy}") from None


@contextmanager
def showing(folder: Path | str) -> Iterator[None]:
    """Turn any error of the block, which shows the values of a folder, into a FileError that names the folder."""
    try:
        yield
    except AutomtlError:
        raise
    except Exception as error:  # values of all kinds are looked up in each other
        reason = brief(f"{type(error).__name__}: {error}")[1:-1]
        raise FileError(f"the values of '{folder}' cannot be shown ({reason}); restore its JSON files") from None


def _report(
    folder: Path, out: Path | str | None, pictures: Path | str | None, *, png: bool, importance: Sequence[Any]
) -> list[Path]:
    """Write what `report_folder` describes."""
    if COMPARISON.matches(folder):
        if importance:
            raise FileError(f"'{folder}' is a comparison, importance is of one run; leave --importance out")
        comparison = read_comparison(folder)
        page, drawn = partial(comparison_report, comparison), partial(comparison_pictures, comparison)
    else:
        run = replace(read_run(folder), importance=importance)
        page, drawn = partial(run_report, run), partial(run_pictures, run)
    files: dict[Path, bytes] = {}
    if pictures is not None:
        files |= {Path(pictures) / name: content for name, content in picture_files(drawn, png=png).items()}
    if out is not None or pictures is None:
        files[Path(out or PAGE)] = page().encode()
    for path, content in files.items():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return list(files)


def read_comparison(folder: Path) -> dict[str, Any]:
    """Read the values of comparison.json. Raises FileError where it cannot be read."""
    COMPARISON.read(folder)
    found: dict[str, Any] = read_json(folder / RESULTS, "it is written when a comparison has ended")
    return found


def read_run(folder: Path) -> RunValues:
    """Read the values of a run folder. Raises FileError that says what is wrong with it."""
    manifest = MODEL.verify(folder)
    values: dict[str, Any] = {
        name: read_part(folder, name) if f"{name}.json" in manifest["files"] else {}
        for name in ("metrics", "history", "settings", "curves")
    }
    if not values["metrics"]:
        raise FileError(f"'{folder}' has no metrics.json to report on; fit again with --out")
    schema = Schema.read(folder / "schema.yaml").to_dict()
    return RunValues(model=read_part(folder, "architecture"), schema=schema, version=manifest["automtl"], **values)
