"""Describe a preparation from the plain values of its report.json."""

from __future__ import annotations

from typing import Any

from automtl.tables.names import shown


def row_line(report: dict[str, Any]) -> str:
    """Describe the number of rows by split."""
    rows, files = report["rows"], report["files"]
    return (
        f"{rows['read']:,} rows of {files} file{'s' * (files != 1)}: {rows['train']:,} to train, {rows['valid']:,} to "
        f"validate, {rows['test']:,} to test"
    )


def notes(report: dict[str, Any]) -> list[str]:
    """Describe the labels of each task, then what was left out."""
    lines = [
        f"task {name}: mean label {by_part['train']['mean']:.4g} of {by_part['train']['labels']:,} to train, "
        f"{by_part['valid']['mean']:.4g} to validate, {by_part['test']['mean']:.4g} to test"
        for name, by_part in report["tasks"].items()
    ]
    left_out = {
        "columns": report["unused_columns"],
        "columns without a value in the training rows": report["empty_columns"],
        "files without rows": report["empty_files"],
    }
    for what, names in left_out.items():
        if names:
            lines.append(f"{what} left out: {', '.join(names)}")
    return lines


def column_rows(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table of columns: known values, and shares of rows with missing or unseen ones."""
    header = ["column", "kind", "values", "known", "missing", "unseen train", "unseen valid", "unseen test", "range"]
    return header, [_column(shown(name), about, report["rows"]) for name, about in report["columns"].items()]


def _column(name: str, about: dict[str, Any], rows: dict[str, int]) -> list[str]:
    missing = _share(sum(about["missing"].values()), rows["read"])
    if about["kind"] == "numeric":
        return [name, "numeric", "", "", missing, "", "", "", f"{about['least']:.4g} to {about['most']:.4g}"]
    shares = [_share(about["unseen"][part], about["present"][part]) for part in ("train", "valid", "test")]
    known = f"{about['known']:,}" + (f" + {about['hashed']:,} hashed" if "hashed" in about else "")
    return [name, about["kind"], f"{about['values']:,}", known, missing, *shares, ""]


def _share(count: int, total: int) -> str:
    return f"{count / max(total, 1):.2%}"
