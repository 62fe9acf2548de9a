"""Each strategy has settings of its own, found from the strategy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, dataclass, fields, replace

import pytest
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.config import Settings, make_settings
from automtl.errors import SettingsError
from automtl.search import STRATEGIES, SearchProblem, SearchResult, SearchSettings, SearchStrategy, published
from automtl.search.darts import DartsSettings
from automtl.search.halving import HalvingSettings
from automtl.search.settings import PUBLISHED
from automtl.system.progress import Callback
from automtl.tables.entries import CONFIG

every = pytest.mark.parametrize("name", STRATEGIES)
OWN = f"{__name__}:FirstSample"


@settings_dataclass(frozen=True, config=CONFIG)
class FirstSettings(SearchSettings):
    """Settings of a strategy from outside."""

    tries: int = Limit(default=3, ge=1, description="Number of tries.")


@dataclass(frozen=True)
class FirstSample(SearchStrategy):
    """A strategy from outside."""

    settings: FirstSettings

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        raise NotImplementedError


@every
def test_every_setting_is_described_and_the_defaults_are_settings(name: str) -> None:
    kind = STRATEGIES.find(name).settings_class()
    described = kind.__pydantic_fields__  # type: ignore[attr-defined]
    assert all(described[field.name].description.endswith(".") for field in fields(kind))
    assert isinstance(make_settings({"strategy": name}).search, kind)


@every
def test_a_budget_is_a_setting_of_every_strategy_and_comes_back_from_plain_values(name: str) -> None:
    own = {field.name for field in fields(STRATEGIES.find(name).settings_class())}
    budget = {"max_steps": 600, "max_rows": 500_000} if "max_steps" in own else {"trainings": 30}
    settings = make_settings({"strategy": name, "search": budget})
    assert {setting: getattr(settings.search, setting) for setting in budget} == budget
    assert make_settings(settings.to_dict()) == settings


@every
def test_the_published_schedule_sets_what_a_strategy_has(name: str) -> None:
    kind = STRATEGIES.find(name).settings_class()
    own = {field.name for field in fields(kind)}
    assert asdict(published(kind)) == asdict(kind()) | {key: PUBLISHED[key] for key in PUBLISHED if key in own}


def test_every_published_value_is_a_setting_of_some_strategy() -> None:
    known = {field.name for kind in STRATEGIES.members().values() for field in fields(kind.settings_class())}
    assert set(PUBLISHED) <= known


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"search": {"second_order": True}}, "'search.second_order' belongs to strategy 'darts', 'darts-minus'"),
        ({"strategy": "random", "search": {"warm_up": 0}}, "belongs to strategy 'progressive', 'automtl', not to 'ra"),
        ({"strategy": "darts", "search": {"second_ordr": 1}}, "unknown setting 'search.second_ordr'; did you mean 'se"),
        ({"strategy": "darts", "search": {"epochs": 0}}, "setting 'search.epochs': .*greater than 0, found 0"),
        ({"strategy": OWN, "search": {"tries": 0}}, "setting 'search.tries'"),
        ({"search": 3}, "setting 'search.*found 3"),
        ({"strategy": "dart"}, "strategy 'dart' is unknown; did you mean 'darts'"),
        ({"strategy": "automtl.errors:SettingsError"}, "is not a subclass of automtl.search.SearchStrategy"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(values)


def test_a_strategy_from_outside_has_settings_of_its_own() -> None:
    settings = make_settings({"strategy": OWN, "search": {"tries": 5}})
    assert settings.search == FirstSettings(tries=5)
    assert make_settings(settings.to_dict()) == settings


def test_other_settings_of_a_strategy_are_kept_where_both_have_them() -> None:
    settings = make_settings({"strategy": "progressive", "search": {"max_steps": 7, "patience": 2}})
    assert settings.for_strategy("darts").search == DartsSettings(max_steps=7)
    assert settings.for_strategy("progressive") == settings
    assert settings.for_strategy("halving").search == HalvingSettings(patience=2)
    assert replace(Settings(), strategy="darts").search == DartsSettings()
    with pytest.raises(SettingsError, match=r"'search\.patience' belongs to strategy 'halving', 'progressive'"):
        replace(settings, strategy="darts")


def test_names_and_settings_of_strategies_import_no_torch() -> None:
    code = (
        "import sys; from automtl.search import STRATEGIES; "
        "kinds = [one.settings_class()() for one in STRATEGIES.members().values()]; print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
