"""Settings: read, checked, named."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from automtl.config import Settings, make_settings, read_settings, recorded_seed
from automtl.errors import SettingsError
from automtl.search import STRATEGIES


@pytest.mark.parametrize(
    ("name", "text"), [("s.yaml", "search: {trainings: 7}"), ("s.toml", "[search]\ntrainings = 7\n")]
)
def test_toml_and_yaml_give_the_same_settings(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_settings(tmp_path / name) == make_settings({"search": {"trainings": 7}})


def test_resolved_settings_read_back_as_the_same_settings() -> None:
    assert make_settings(Settings().to_dict()) == Settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"serch": {}}, "unknown setting 'serch'; did you mean 'search'"),
        ({"search": {"training": 3}}, "unknown setting 'search.training'; did you mean 'trainings'"),
        ({"search": {"trainings": 0}}, "setting 'search.trainings'.*found 0"),
        ({"network": {"normalization": "batch"}}, "'none' or 'layer'"),
        ({"training": "fast"}, "setting 'training'"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(values)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        read_settings(tmp_path / "none.yaml")
    for name, text, message in (
        ("broken.toml", "a = [", r"broken\.toml' cannot be read"),
        ("broken.yaml", "search: {trainings: 2024-13-45}", r"broken\.yaml' cannot be read: month must be"),
        ("deep.yaml", "[" * 3000, "cannot be read: it is nested too deep; correct it"),
        ("list.yaml", "[1, 2]", r"\[1, 2\] is no mapping; name sections and settings"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SettingsError, match=message):
            read_settings(tmp_path / name)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"binary\.yaml' cannot be read"):
        read_settings(tmp_path / "binary.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert read_settings(tmp_path / "empty.yaml") == Settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "mmoee"}, "settings: model 'mmoee' is unknown; did you mean 'mmoe'"),
        ({"reference": "mmoee"}, "model 'mmoee' is unknown"),
        ({"strategy": "halvin"}, "'halvin' is unknown; did you mean 'halving'"),
        ({"trackers": ["mlflo"]}, "tracker 'mlflo' is unknown; did you mean 'mlflow'"),
        ({"training": {"balancing": "equall"}}, "'equall' is unknown; did you mean 'equal'"),
        ({"space": {"expert_layers": ["mpl-64"]}}, "operation 'mpl' is unknown; did you mean 'mlp'"),
        ({"space": {"poolings": ["mlp-64"]}}, "operation 'mlp-64' cannot stand in a pooling block"),
        ({"presets": [{"name": "a", "training": {"epochs": math.nan}}]}, "preset 'a': setting 'training.epochs'"),
        ({"presets": [{"name": "a", "training": {"balancing": "b"}}]}, "preset 'a': training.balancing 'b' is unknown"),
        ({"presets": [{"name": "a", "trees": {"leafs": 3}}]}, "unknown setting 'trees.leafs'; did you mean 'leaves'"),
        ({"budget": {"save_every": -1}}, "setting 'budget.save_every': -1 is no duration"),
        ({"model": "x" * 9999}, "model 'xxx.*' is unknown"),
    ],
)
def test_names_and_presets_are_checked_when_settings_are_read(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as found:
        make_settings(values)
    assert len(str(found.value)) <= 1000


def test_wrong_settings_are_told_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("trees: {learning_rate: .inf}")
    (tmp_path / "log.csv").write_text("user,click\n1,0\n2,1\n")
    options = [str(tmp_path / "log.csv"), "--task", "click", "--config", str(tmp_path / "bad.yaml")]
    code = f"""
import sys
from automtl.cli import app
from automtl.errors import SettingsError
for command in (["fit"], ["compare"], ["check"], ["prepare", "--out", "x"], ["reproduce", "table3"]):
    try:
        app([*command, *{options!r}], standalone_mode=False)
    except SettingsError as error:
        print(error, "torch" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.count("'trees.learning_rate': Input should be a finite number, found inf False\n") == 5


def test_presets_and_ensemble_may_be_given_by_their_other_names() -> None:
    given = {"blended": False, "variants": [{"name": "a"}]}
    made = make_settings(given)
    assert made.ensemble is False and [preset.name for preset in made.presets] == ["a"]
    assert Settings(**given) == made == make_settings({"ensemble": False, "presets": [{"name": "a"}]})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="blended"):
        make_settings({"blended": False, "ensemble": True})


def sections() -> list[type]:
    """All classes that settings are made of, those of every strategy's search included."""
    return [Settings, *(STRATEGIES.find(name).settings_class() for name in STRATEGIES)]


def numbers_of(kind: type) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the numeric settings of a class with their JSON schema; durations are read elsewhere."""
    schema = TypeAdapter(kind).json_schema()
    for section in (schema, *schema.get("$defs", {}).values()):
        for name, entry in section.get("properties", {}).items():
            for form in (entry, *entry.get("anyOf", ())):
                if form.get("type") in ("number", "integer") and name not in (
                    "time_limit",
                    "save_every",
                    "max_latency",
                ):
                    yield name, form


@pytest.mark.parametrize("kind", sections(), ids=lambda kind: kind.__name__)
def test_every_number_has_a_smallest_and_a_largest_value(kind: type) -> None:
    found = list(numbers_of(kind))
    assert found
    for name, form in found:
        assert {"minimum", "exclusiveMinimum"} & set(form), name
        assert {"maximum", "exclusiveMaximum"} & set(form), name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 1e300, "nan", [], {}])
def test_numbers_that_no_work_could_use_are_refused_by_name(value: Any) -> None:
    for section in ("split", "encoder", "network", "training", "trees", "selection", "search", "budget"):
        kind = type(getattr(Settings(), section))
        for name in {name for name, _ in numbers_of(kind)} & {one.name for one in fields(kind)}:
            with pytest.raises(SettingsError, match=name):
                make_settings({section: {name: value}})


def test_the_seed_of_a_run_is_read_beside_its_settings(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"seed": 7, "table": null, "model": "mmoe"}')
    assert recorded_seed(tmp_path / "settings.json") == 7
    assert read_settings(tmp_path / "settings.json") == make_settings({"model": "mmoe"})
    (tmp_path / "settings.yaml").write_text("model: mmoe")
    assert recorded_seed(tmp_path / "settings.yaml") == 0
    for seed in ("-1", "true", '"x"', "[]"):
        (tmp_path / "settings.json").write_text(f'{{"seed": {seed}, "table": null}}')
        with pytest.raises(SettingsError, match="seed .* is no whole number from 0 to 2147483647; correct it"):
            recorded_seed(tmp_path / "settings.json")
