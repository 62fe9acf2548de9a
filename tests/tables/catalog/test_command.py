"""Public datasets as a user meets them on the command line."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path

import pytest
import yaml

from automtl.tables.catalog import DATASETS
from tests.conftest import TINY
from tests.tables.catalog.raw import RAW
from tests.test_cli import call

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^automtl data prepare .*$", PAGE, flags=re.MULTILINE)


def test_list_shows_every_dataset_and_one_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("data", "list") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in DATASETS)
    assert call("data", "list", "ijcai-2015") == 0
    assert "user_log_format1.csv" in capsys.readouterr().out


def test_a_prepared_table_can_be_fitted_by_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RAW["movielens-100k"][0](tmp_path, random.Random(1))
    out = tmp_path / "films.parquet"
    assert call("data", "prepare", "movielens-100k", tmp_path, "--out", out) == 0
    shown = capsys.readouterr()
    assert "rows: expected 100,000, found 200" in shown.err
    assert f"automtl fit {out} --schema {tmp_path / 'films.schema.yaml'}" in shown.out
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "model": "single-task", "variants": []}))
    settings = ("--config", tmp_path / "tiny.yaml", "--out", tmp_path / "run")
    assert call("fit", out, "--schema", tmp_path / "films.schema.yaml", *settings) == 0


THEIRS = """
import polars as pl
from automtl.tables.catalog.base import Column, Dataset, Form, RawFile
from automtl.tables.catalog.parts import categorical
from automtl.tables.schema import Schema, Task

FILE = RawFile("log.csv", (Column("user"), Column("click", values=(0, 1))), header=True)
LOG = Dataset(
    "Our log", "Ask Anna.", "ours", "As it is.",
    (Form((FILE,), lambda files, variant: (files["log.csv"], Schema(categorical("user"), (Task("click"),)))),),
    {"default": {"rows": 3}},
)
"""


def test_a_dataset_of_a_users_module_is_prepared_and_described_by_its_import_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "their_data.py").write_text(THEIRS)
    (tmp_path / "log.csv").write_text("user,click\n1,0\n2,1\n2,1\n")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "log.parquet"
    assert call("data", "prepare", "their_data:LOG", tmp_path, "--out", out, "--strict") == 0
    assert f"3 rows (click 0.6667): {out}" in capsys.readouterr().out
    assert call("data", "list", "their_data:LOG") == 0
    assert "source: Ask Anna." in capsys.readouterr().out
    assert call("data", "prepare", "their_data:FILE", tmp_path, "--out", out) == 2
    assert "dataset 'their_data:FILE' is not a Dataset of automtl.tables.catalog.base" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, _, _, name, folder, *options = shlex.split(command)
    Path(folder).mkdir(parents=True)
    RAW[name][0](Path(folder), random.Random(1))
    assert call("data", "prepare", name, folder, *options) == 0
    assert Path(options[options.index("--out") + 1]).is_file()


def test_the_page_has_a_command_for_every_dataset() -> None:
    assert {shlex.split(command)[3] for command in COMMANDS} == set(DATASETS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("movielens", ".", "--out", "t.parquet"), "dataset 'movielens' is unknown"),
        (("movielens-1m", "absent", "--out", "t.parquet"), "folder 'absent' does not exist"),
        (("movielens-1m", ".", "--out", "t.csv"), "ends in .parquet"),
        (("movielens-1m", ".", "--out", "t.parquet"), "'ratings.dat' is missing"),
        (("movielens-1m", ".", "--out", "absent/t.parquet"), "folder 'absent' does not exist"),
        (("aliexpress-nl", ".", "--out", "t.parquet", "--variant", "publish"), "did you mean 'published'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call("data", "prepare", *arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert message in shown
    assert not list(tmp_path.iterdir())
