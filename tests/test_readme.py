"""What the README tells people to do works as printed, on a small table with small settings."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import polars as pl
import pytest
import yaml

import automtl
from automtl.cli import main
from automtl.config import make_settings
from tests.conftest import TINY

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def here(log: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table = log.drop("like", "cart").with_columns(timestamp=pl.int_range(pl.len()), dwell_ms=pl.col("hour") * 3.5)
    for days, name in enumerate(("clicks", "tomorrow", "labelled")):
        table.with_columns(pl.col("timestamp") + days * table.height).write_parquet(f"{name}.parquet")
    every = TINY | {"encoder": {"prune_histories": False}}  # a log without order has none that pays
    Path("tiny.yaml").write_text(yaml.safe_dump(every))
    return tmp_path


def test_the_commands_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("automtl ")]
    commands = [shlex.split(line, comments=True) for line in lines]
    used = {"describe", "fit", "inspect", "predict", "evaluate", "importance", "freshness", "update"} | {
        "leaderboard",
        "distill",
        "explain",
    }
    assert {command[1] for command in commands} == used
    for command in commands:
        small = ["--config", "tiny.yaml"] if command[1] == "fit" else []
        monkeypatch.setattr("sys.argv", [*command, *small])
        with pytest.raises(SystemExit) as found:
            main()
        assert found.value.code == 0, command
    assert pl.read_parquet("scores.parquet").columns == ["click", "buy"]


def test_the_python_code_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automtl, "AutoMTL", functools.partial(automtl.AutoMTL, settings=TINY), raising=False)
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert isinstance(names["scores"], pl.DataFrame)
    assert (here / "runs" / "clicks" / "manifest.json").exists()


def test_the_settings_are_known() -> None:
    (text,) = blocks("yaml")
    values = yaml.safe_load(text)
    settings = make_settings(values)
    assert settings.to_dict()["search"] == make_settings({}).to_dict()["search"] | values["search"]
