"""A model of a prepared table is that of the table itself, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from automtl.comparison.compare import ComparisonSettings, compare_table
from automtl.config import Settings, make_settings
from automtl.dataset.prepared import Origin, PreparedFolder, write_prepared
from automtl.dataset.store import DataLoaderSettings, slices
from automtl.errors import FileError, SettingsError, TableError
from automtl.experiment import ColumnRoles, Run, check_table, fit_table, resolve_schema
from automtl.experiment.inputs import distinct_presets
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.predictor import Predictor
from automtl.tables.schema import Schema
from automtl.tables.split import split_table
from automtl.training.sampling import sample_negatives
from tests.conftest import TINY
from tests.test_cli import call

SEED = 5
NAMES = ("click", "buy", "cart")
FINDING = {
    "check": "drift", "level": "note", "column": "hour", "evidence": "found before", "value": 1.0, "remedy": "look",
}  # fmt: skip


def schema_of(log: pl.DataFrame) -> Schema:
    schema = resolve_schema(log, NAMES, ColumnRoles(drop=("like",), group="user_id"), None)
    return replace(schema, target_encoding=(("user_id",), ("item_id",)), negative_share=0.5)


def make(log: pl.DataFrame, schema: Schema, settings: Settings, folder: Path) -> PreparedFolder:
    split = split_table(log, schema, settings.split, SEED)
    encoder, train = Encoder.fit(split.train, schema, settings.encoder, SEED)
    train = sample_negatives(train, schema.tasks, schema.negative_share, SEED)
    parts = {
        "train": slices(train, 300),
        "valid": [encoder.encode(split.valid)],
        "test": encoder.encode_parts(split.test, 90),
    }
    return write_prepared(folder, encoder, parts, Origin({}, settings.split, SEED), {"findings": [FINDING]})


@pytest.fixture(scope="module")
def folder(log: pl.DataFrame, tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(log, schema_of(log), tiny, tmp_path_factory.mktemp("prepared") / "rows").folder


def alike(left: Run, right: Run) -> None:
    """But for times, numbers of rows before negatives were sampled, and findings."""
    assert left.predictor.spec == right.predictor.spec
    assert left.history == right.history
    same = ("validation", "test", "parameters", "preset", "ensemble")
    assert {name: left.metrics[name] for name in same} == {name: right.metrics[name] for name in same}
    states = (run.predictor.network.state_dict().values() for run in (left, right))
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


LOADERS = {
    "in memory": DataLoaderSettings(),
    "in files": DataLoaderSettings(mapped=True, part_rows=200),
    "by blocks": DataLoaderSettings(memory_bytes=20_000, part_rows=200),
}


@pytest.mark.parametrize(
    ("loader", "preset", "model"),
    [
        ("in memory", "ids only", "automtl"),
        ("by blocks", "all inputs", "automtl"),
        ("in files", "all inputs", "mmoe"),
        ("by blocks", "ids only", "mmoe"),
    ],
)
def test_a_fit_gives_the_same_model(
    log: pl.DataFrame, tiny: Settings, folder: Path, loader: str, preset: str, model: str, tmp_path: Path
) -> None:
    presets = tuple(one for one in tiny.presets if one.name == preset)
    settings = replace(tiny, model=model, presets=presets, data_loader=LOADERS[loader], ensemble=False)
    table = fit_table(log, schema=schema_of(log), settings=settings, seed=SEED)
    found = fit_table(folder, settings=settings, seed=SEED, out=tmp_path / "run")
    alike(found, table)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_default_presets_are_chosen_from_and_findings_are_told(
    log: pl.DataFrame, tiny: Settings, folder: Path
) -> None:
    reported: list[Any] = []
    tiny = replace(tiny, model="mmoe")
    found = fit_table(folder, settings=tiny, seed=SEED, callback=reported.append)
    alike(found, fit_table(log, schema=schema_of(log), settings=tiny, seed=SEED))
    assert [finding.evidence for finding in reported[0].findings] == ["found before"]
    assert found.metrics["findings"] == [FINDING | {"task": None}]


@pytest.mark.parametrize("loader", ["in memory", "by blocks"])
def test_some_tasks_of_a_folder_give_the_model_of_a_table_with_these_tasks(
    log: pl.DataFrame, tiny: Settings, loader: str, tmp_path: Path
) -> None:
    schema = replace(schema_of(log), negative_share=None)
    folder = make(log, schema, tiny, tmp_path / "rows").folder
    settings = replace(tiny, model="mmoe", presets=(), data_loader=LOADERS[loader])
    alike(
        fit_table(folder, ["cart", "click"], settings=settings, seed=SEED),
        fit_table(log, ["cart", "click"], schema=schema, settings=settings, seed=SEED),
    )


def test_a_model_is_tested_on_the_folder_that_it_or_its_like_was_fitted_on(
    log: pl.DataFrame, tiny: Settings, folder: Path, tmp_path: Path
) -> None:
    settings = replace(tiny, model="mmoe", presets=())
    for place, (tasks, given) in enumerate(
        [((), {}), (("buy",), {}), ((), {"encoder": EncoderSettings(target_encoding=False)})]
    ):
        run = fit_table(folder, tasks, settings=replace(settings, **given), seed=SEED, out=tmp_path / str(place))
        assert Predictor.load(tmp_path / str(place)).evaluate(folder) == run.metrics["test"]
    table = fit_table(log, schema=schema_of(log), settings=settings, seed=SEED)
    assert table.predictor.evaluate(folder) == table.metrics["test"]
    other = fit_table(log, schema=schema_of(log), settings=settings, seed=SEED + 1)
    with pytest.raises(FileError, match="another encoder than the model's; give the table itself"):
        other.predictor.evaluate(folder)
    with pytest.raises(TableError, match="is a prepared table.*give the table that it was made from"):
        table.predictor.predict(folder)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"roles": ColumnRoles(drop=("hour",))}, "column 'hour' is given as drop.*prepare it again"),
        ({"roles": ColumnRoles(split="part")}, "column 'part' is given as split"),
        ({"roles": ColumnRoles(group="item_id")}, "column 'item_id' is given as group"),
        ({"roles": ColumnRoles(history=True)}, "other histories or label delays are given.*prepare it again"),
        ({"settings": {"split": {"method": "user"}}}, "settings of the split are given"),
        ({"settings": {"encoder": {"min_count": 9}}}, "encoder.min_count is 9.*was prepared with 3; prepare it again"),
        ({"settings": {"presets": [{"name": "few", "encoder": {"bins": 0}}]}}, "encoder.bins is 0"),
        ({"tasks": ["like"]}, "task 'like' is not in prepared table"),
    ],
)
def test_what_had_to_be_said_when_it_was_prepared_is_refused(
    log: pl.DataFrame, folder: Path, given: dict[str, Any], message: str
) -> None:
    if "settings" in given:
        given = {"settings": make_settings(TINY | given["settings"])}
    with pytest.raises(SettingsError, match=message):
        fit_table(folder, **given)


def test_a_comparison_with_the_seed_of_another_split_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the split seed is 8.*was split with 5"):
        compare_table(folder, models=["mmoe"], settings=ComparisonSettings(split_seed=8), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_schema_is_refused_and_what_is_the_same_is_not(log: pl.DataFrame, tiny: Settings, folder: Path) -> None:
    schema = schema_of(log)
    with pytest.raises(SettingsError, match="a schema is given.*has its own; prepare it again"):
        fit_table(folder, schema=replace(schema, target_encoding=()), settings=tiny)
    fit_table(
        folder, roles=ColumnRoles(group="user_id"), schema=schema, settings=replace(tiny, model="mmoe", presets=())
    )


def test_settings_that_a_folder_was_prepared_with_need_not_be_said_again(
    log: pl.DataFrame, tiny: Settings, tmp_path: Path
) -> None:
    made = replace(tiny, encoder=EncoderSettings(min_count=2, target_encoding=False))
    folder = make(log, schema_of(log), made, tmp_path / "rows").folder
    run = fit_table(folder, settings=replace(tiny, model="mmoe"))
    assert run.settings["encoder"]["min_count"] == 2
    assert run.metrics["preset"] in {one.name for one in distinct_presets(made, schema_of(log))}
    with pytest.raises(SettingsError, match="encoder.target_encoding is True.*prepared with False"):
        fit_table(
            folder, settings=replace(tiny, presets=(replace(tiny.presets[1], encoder={"target_encoding": True}),))
        )


def test_a_comparison_of_a_folder_is_that_of_the_table(
    log: pl.DataFrame, log_file: Path, tiny: Settings, tmp_path: Path
) -> None:
    settings = replace(tiny, presets=tiny.presets[1:2], encoder=EncoderSettings(min_count=2))
    folder = make(log, schema_of(log), settings, tmp_path / "rows").folder
    found = [
        compare_table(
            source, models=["mmoe"], out=tmp_path / name,
            settings=ComparisonSettings(schema=schema, settings=made, seeds=1, trials=1, jobs=1, split_seed=SEED),
        )
        for name, source, schema, made in (
            ("a", folder, None, replace(settings, encoder=EncoderSettings())),
            ("b", log_file, schema_of(log), settings),
        )
    ]  # fmt: skip
    tests = [one["models"]["mmoe"]["seeds"][0]["test"] for one in found]
    assert tests[0] == tests[1]
    assert found[0]["findings"] == [FINDING | {"task": None}]


def test_the_command_line_reads_folders(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY | {"presets": [], "model": "mmoe"}))
    assert call("fit", str(folder), "--out", str(tmp_path / "run"), "--config", str(config)) == 0
    assert call("evaluate", str(tmp_path / "run"), str(folder)) == 0
    capsys.readouterr()
    assert call("check", str(folder)) == 0
    assert "found before" in capsys.readouterr().out


def test_a_folder_that_was_not_checked_says_so(log: pl.DataFrame, tiny: Settings, tmp_path: Path) -> None:
    found = make(log, schema_of(log), tiny, tmp_path / "rows")
    write_prepared(
        tmp_path / "other", found.encoder, {part: [found.rows(part)] for part in found.stores}, found.origin, {}
    )
    with pytest.raises(TableError, match="is a prepared table.*check the table from which it was made"):
        check_table(tmp_path / "other")
