"""Settings: read, checked, named."""

from __future__ import annotations

from pathlib import Path

import pytest

from automtl.config import Settings, make_settings, read_settings
from automtl.errors import SettingsError


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
    (tmp_path / "broken.toml").write_text("a = [")
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        read_settings(tmp_path / "broken.toml")


def test_presets_and_ensemble_may_be_given_by_their_other_names() -> None:
    given = {"blended": False, "variants": [{"name": "a"}]}
    made = make_settings(given)
    assert made.ensemble is False and [preset.name for preset in made.presets] == ["a"]
    assert Settings(**given) == made == make_settings({"ensemble": False, "presets": [{"name": "a"}]})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="blended"):
        make_settings({"blended": False, "ensemble": True})
