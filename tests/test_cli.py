"""As a user: every command on a small log, and a clear message for every mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from automtl._version import __version__
from automtl.cli import main
from tests.conftest import TASKS, TINY


@pytest.fixture(scope="module")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture(scope="module")
def run_folder(log_file: Path, settings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, whole = tmp_path_factory.mktemp("runs") / "run", settings_file.with_name("whole.yaml")
    whole.write_text(yaml.safe_dump(TINY | {"report": True}))
    assert call("fit", log_file, *tasks(), "--config", whole, "--out", out, "--group", "user_id") == 0
    return out


def tasks() -> list[str]:
    return [part for task in TASKS for part in ("--task", task)]


def call(*arguments: object) -> int:
    """The exit code of the command, run in this process."""
    before, sys.argv = sys.argv, ["automtl", *map(str, arguments)]
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = before
    return 0


def test_a_run_folder_holds_everything_and_no_pickle(run_folder: Path) -> None:
    names = {path.name for path in run_folder.iterdir()}
    members = json.loads((run_folder / "architecture.json").read_text())["members"]
    trees = [one for one in members if one["model"] in ("lightgbm", "catboost")]
    assert names == {
        "architecture.json", "card.md", "coverage.json", "curves.json", "encoder.json", "encoder.safetensors",
        "history.json", "manifest.json", "metrics.json", "profile.json", "report.html", "schema.yaml", "settings.json",
        "weights.safetensors",
        *(f"trees.{place}.safetensors" for place in range(len(trees))),
    }  # fmt: skip
    assert trees  # some are in the ensemble
    history = json.loads((run_folder / "history.json").read_text())
    assert {"alpha", "beta", "valid_auc", "stopped", "gradient_difference"} <= set(history["search"]["records"][0])
    assert [path.name for path in run_folder.parent.iterdir()] == ["run"]


def test_predictions_scored_by_scikit_learn_give_the_metrics_that_are_reported(
    run_folder: Path, log_file: Path, log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("predict", run_folder, log_file, "--out", tmp_path / "scores.csv") == 0
    scores = pl.read_csv(tmp_path / "scores.csv")
    assert scores.columns == list(TASKS)
    capsys.readouterr()
    assert call("evaluate", run_folder, log_file) == 0
    shown = capsys.readouterr().out
    for task in TASKS:
        assert f"{roc_auc_score(log[task], scores[task]):.4f}" in shown


def test_inspect_shows_the_architecture_and_metrics(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", run_folder) == 0
    shown = capsys.readouterr().out
    assert "E0: " in shown
    assert "test rows" in shown
    assert "gauc" in shown


def test_results_are_json_for_programs(
    run_folder: Path, log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*arguments: object) -> Any:
        assert call(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    capsys.readouterr()
    evaluated = printed("evaluate", run_folder, log_file)
    assert set(evaluated["tasks"]) == set(TASKS)
    shown = printed("inspect", run_folder)
    assert shown["metrics"]["parameters"] == shown["parameters"]
    assert isinstance(printed("check", log_file, *tasks()), list)
    out = tmp_path / "importance.json"
    ranked = printed("importance", run_folder, log_file, "--repeats", 1, "--rows", 200, "--out", out)
    assert ranked == json.loads(out.read_text()) and ranked[0]["column"]


def test_the_report_of_a_run_is_in_its_folder_and_can_be_made_again(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("report", run_folder, "--out", tmp_path / "again.html", "--pictures", tmp_path / "pictures") == 0
    assert (tmp_path / "again.html").read_bytes() == (run_folder / "report.html").read_bytes()
    assert {"architecture.svg", "skips.svg", "roc-1-click.svg"} <= {
        path.name for path in (tmp_path / "pictures").iterdir()
    }
    assert call("report", tmp_path / "pictures") == 2
    assert "has no manifest.json" in capsys.readouterr().err


def test_describe_writes_a_schema_that_fit_takes(log_file: Path, settings_file: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    assert call("describe", log_file, *tasks(), "--out", schema) == 0
    edited = yaml.safe_load(schema.read_text())
    edited["tasks"][2]["condition"] = "click = 1"
    schema.write_text(yaml.safe_dump(edited))
    out = tmp_path / "run"
    code = call("fit", log_file, "--schema", schema, "--config", settings_file, "--out", out, "--model", "ple")
    assert code == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["tasks"]["buy"]["rows"] < metrics["rows"]["test"]


@pytest.mark.parametrize("model", ["single-task", "shared-bottom", "mmoe", "cgc"])
def test_published_models_fit(log_file: Path, settings_file: Path, tmp_path: Path, model: str) -> None:
    out = tmp_path / "run"
    assert call("fit", log_file, "--task", "click", "--config", settings_file, "--model", model, "--out", out) == 0


def test_random_search_and_ablations_fit(log_file: Path, tmp_path: Path) -> None:
    changed = {**TINY, "space": {**TINY["space"], "homogeneous": True, "selection": False, "interaction": False}}
    changed["ensemble"] = False
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(changed))
    common = ["fit", log_file, "--task", "click", "--task", "buy", "--config", tmp_path / "s.yaml"]
    assert call(*common, "--out", tmp_path / "a") == 0
    members = json.loads((tmp_path / "a" / "architecture.json").read_text())["members"]
    (architecture,) = [one["architecture"] for one in members if one["architecture"] is not None]
    assert architecture["choices"]["interaction"] == ["skip"]
    assert all(len(set(made)) == 1 for made in architecture["choices"].values())
    assert architecture["selection"] == [[0, 1, 2, 3]] * 2
    changed["search"] = {name: value for name, value in TINY["search"].items() if name != "stop_every"}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(changed))
    assert call(*common, "--strategy", "random", "--out", tmp_path / "b") == 0


def test_unseen_ids_nulls_and_other_types_are_scored(run_folder: Path, log: pl.DataFrame, tmp_path: Path) -> None:
    odd = log.head(4).drop(TASKS).with_columns(
        pl.lit("nobody").alias("user_id"), pl.lit(None).alias("item_id"), pl.col("price").cast(pl.String),
    )  # fmt: skip
    odd.write_parquet(tmp_path / "odd.parquet")
    assert call("predict", run_folder, tmp_path / "odd.parquet", "--out", tmp_path / "s.parquet") == 0
    assert pl.read_parquet(tmp_path / "s.parquet").select(pl.all().is_between(0, 1).all()).row(0) == (True,) * 4


def timed(log: pl.DataFrame) -> pl.DataFrame:
    """Give each row a time of its own, in seconds."""
    return log.with_columns(at=1_650_000_000 + 60 * pl.int_range(pl.len()))


MISTAKES = {
    "missing label column": (lambda t: t, ["--task", "clik"], "'clik': no such column.*did you mean 'click'"),
    "one class": (lambda t: t.with_columns(click=pl.lit(1)), ["--task", "click"], "'click'.*every label .* is 1"),
    "labels": (lambda t: t.with_columns(click=pl.col("hour") % 3), ["--task", "click"], "'click'.*found 2"),
    "text label": (lambda t: t.with_columns(click=pl.lit("maybe")), ["--task", "click"], "'click'.*numbers"),
    "null label": (lambda t: t.with_columns(click=pl.lit(None)), ["--task", "click"], "'click': every label is null"),
    "row of a label": (
        lambda t: t.with_columns(click=pl.when(pl.int_range(pl.len()) == 9).then(-1).otherwise("click")),
        ["--task", "click"], "'click'.*found -1 in row 10",
    ),
    "task dropped": (lambda t: t, ["--task", "click", "--drop", "click"], "'click' is given as a task and as dropped"),
    "nameless task": (lambda t: t.rename({"click": ""}), ["--task", ""], "empty name"),
    "weight": (
        lambda t: t.with_columns(w=pl.when(pl.int_range(pl.len()) == 4).then(-1.0).otherwise(1.0)),
        ["--task", "click", "--weight", "w"], "weight 'w': expected 0 or more, found -1.0 in row 5",
    ),
    "dropped": (lambda t: t, ["--task", "click", "--drop", "prize"], "'prize': no such column.*'price'"),
    "split value": (
        lambda t: t.with_columns(part=pl.lit("holdout")), ["--task", "click", "--split-column", "part"], "'holdout'",
    ),
    "time": (lambda t: t, ["--task", "click", "--split", "time"], "--time"),
    "split method": (lambda t: t, ["--task", "click", "--split", "weekly"], r"split\.method"),
    "model": (lambda t: t, ["--task", "click", "--model", "mmo"], "'mmo' is unknown.*did you mean 'mmoe'"),
    "delay without a time": (
        lambda t: t, ["--task", "click", "--label-delay", "1h"], "a label delay needs a time column.*--time"
    ),
    "outcome without a time": (
        lambda t: t, ["--task", "click", "--outcome", "price"], "an outcome column needs a time column.*--time"
    ),
    "delay": (lambda t: t, ["--task", "click", "--label-delay", "soon"], "'soon' is no duration; write 0s"),
    "two delays": (
        lambda t: t, ["--task", "click", "--label-delay", "1h", "--label-delay", "2h"], "one is given twice"
    ),
    "delay of nothing": (
        timed, ["--task", "click", "--time", "at", "--label-delay", "clik=1h"], "'clik' is neither.*you mean 'click'"
    ),
    "two histories": (lambda t: t, ["--task", "click", "--no-history", "--frozen-history"], "leave out one of them"),
    "outcome": (timed, ["--task", "click", "--time", "at", "--outcome", "prise"], "outcome 'prise'.*'price'"),
    "time that is none": (timed, ["--task", "click", "--time", "device"], "column 'device' is a time but holds"),
    "no task": (lambda t: t, [], "--task"),
}  # fmt: skip


def test_describe_tells_of_histories_and_writes_them(
    log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(log).write_parquet(tmp_path / "t.parquet")
    given = ["--drop", "price", "--outcome", "price", "--label-delay", "1h", "--label-delay", "buy=1d"]
    assert call("describe", tmp_path / "t.parquet", *tasks(), *given, "--time", "at", "--out", tmp_path / "s.yaml") == 0
    shown = capsys.readouterr().out
    for line in (
        "time column: at (seconds)\n", "histories of user_id, item_id", "outcome columns: price",
        "labels known after 1d (buy), 1h (others)",
    ):  # fmt: skip
        assert line in shown
    schema = yaml.safe_load((tmp_path / "s.yaml").read_text())
    assert schema["outcomes"] == ["price"] and schema["history"]["label_delay"] == {"*": "1h", "buy": "1d"}
    assert call("describe", tmp_path / "t.parquet", *tasks(), "--time", "at", "--no-history") == 0
    assert "histories of" not in capsys.readouterr().out


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_get_one_message_and_leave_nothing(
    name: str, log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, arguments, message = MISTAKES[name]
    change(log).write_parquet(tmp_path / "t.parquet")
    assert call("fit", tmp_path / "t.parquet", *arguments, "--out", tmp_path / "run") == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert len(shown.splitlines()) == 1
    assert re.search(message, shown), shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serach: {trainings: 3}", "unknown setting 'serach'; did you mean 'search'"),
        ("search: {training: 3}", "unknown setting 'search.training'; did you mean 'trainings'"),
        ("search: {trainings: -1}", "setting 'search.trainings'"),
        ("space: {expert_layers: [mlp-x]}", "operation 'mlp-x' is unknown"),
        ("space: {expert_layers: [conv-4]}", "the kernel must be odd"),
        ("space: {expert_layers: ['nowhere.module:Name']}", "cannot be imported"),
        ("space: {poolings: [mlp-8]}", "cannot stand in a pooling block"),
        ("a: [", "cannot be read"),
    ],
)
def test_wrong_settings_are_named(
    text: str, message: str, log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(text)
    arguments = ["--task", "click", "--config", tmp_path / "s.yaml", "--out", tmp_path / "run"]
    assert call("fit", log_file, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_schema_that_calls_text_numeric_is_refused(
    log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "s.yaml").write_text("fields: [{name: device, kind: numeric}]\ntasks: [{name: click}]\n")
    assert call("fit", tmp_path / "t.parquet", "--schema", tmp_path / "s.yaml", "--out", tmp_path / "run") == 2
    assert "'device' is numeric in the schema but holds" in capsys.readouterr().err


def test_an_existing_folder_is_kept(
    run_folder: Path, log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run_folder / "manifest.json").read_bytes()
    assert call("fit", log_file, "--task", "click", "--out", run_folder) == 2
    assert "not empty" in capsys.readouterr().err
    assert (run_folder / "manifest.json").read_bytes() == before
    (tmp_path / "mine.txt").write_text("x")
    assert call("fit", log_file, "--task", "click", "--out", tmp_path, "--overwrite") == 2
    assert "holds no saved model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "weights.safetensors' was changed or damaged"),
        (lambda f: (f / "encoder.json").unlink(), "encoder.json' is missing"),
        (lambda f: (f / "manifest.json").unlink(), "no manifest.json"),
        (
            lambda f: (f / "manifest.json").write_text('{"kind": "saved model", "format": 99, "automtl": "9.9"}'),
            "use automtl 9.9 or fit again",
        ),
        (
            lambda f: (f / "manifest.json").write_text(
                f'{{"kind": "saved model", "format": 1, "automtl": "{__version__}"}}'
            ),
            "reads 6; fit again",
        ),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
    ],
)
def test_damage_to_a_model_is_named(damage, message, run_folder, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    damage(copy)
    assert call("inspect", copy) == 2
    assert message in capsys.readouterr().err


def test_help_is_quick_to_import_and_version_is_shown() -> None:
    shown = subprocess.run([sys.executable, "-m", "automtl", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("automtl 0.")
