"""The public face: a frozen list of names, each documented, whose examples run."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import automtl

PUBLIC = [
    "Architecture", "AutoMTL", "AutomtlError", "ColumnRoles", "ComparisonSettings", "DataWarning", "Dataset", "Encoder",
    "Event", "Experiment", "Metric", "Operation", "Predictor", "Progress", "Schema", "SearchResult", "SearchSpace",
    "SearchStrategy", "Settings", "Task", "__version__", "check_table", "compare_table", "distill", "drift",
    "explain", "fit_table", "freshness", "infer_schema", "predict_table", "prepare_table", "read_settings",
    "read_table", "refit_model", "reproduce", "synthetic_log", "update_model",
]  # fmt: skip
DOCUMENTED = [name for name in PUBLIC if name != "__version__"]


def test_the_public_names_are_these() -> None:
    assert automtl.__all__ == PUBLIC == sorted(PUBLIC)
    assert dir(automtl) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there_and_each_unknown_one_is_not(name: str) -> None:
    assert getattr(automtl, name) is getattr(automtl, name)
    with pytest.raises(AttributeError, match="nothing"):
        automtl.nothing  # noqa: B018


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_name_has_a_docstring_with_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: Any = getattr(automtl, name)
    text = inspect.getdoc(found) or ""
    examples = doctest.DocTestParser().get_examples(text)
    assert examples, f"{name} shows no example"
    test = doctest.DocTestParser().get_doctest(text, {"automtl": automtl}, name, None, 0)
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test)
    assert result.failed == 0


def test_examples_of_the_package_run() -> None:
    assert doctest.testmod(automtl).failed == 0


def test_importing_is_quick() -> None:
    """What takes seconds to import is imported when it is used."""
    heavy = "{'torch', 'sklearn', 'matplotlib', 'polars', 'lightgbm'}"
    code = f"import sys, automtl; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
