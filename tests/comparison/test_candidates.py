"""Names of a comparison become settings."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from automtl.comparison.candidates import ABLATIONS, CANDIDATES, find_candidate
from automtl.config import Settings, changed_values, make_settings
from automtl.errors import SettingsError
from automtl.models.registry import MODELS
from automtl.search import STRATEGIES
from automtl.search.settings import UNBOUNDED


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_changes_what_it_names_and_keeps_the_rest(name: str) -> None:
    common = {"training": {"epochs": 7}, "space": {"experts": 5}}
    for base in (
        make_settings({**common, "search": {"trainings": 5}}),
        make_settings({**common, "strategy": "progressive", "search": {"max_rows": 99}}),
    ):
        settings = find_candidate(name).settings(base)
        assert settings.training == base.training
        assert settings.space.experts == 5
        own, given = asdict(settings.search), changed_values(base.search)
        named = find_candidate(name).changes.get("search", {})
        assert all(own[key] == named.get(key, value) for key, value in given.items() if key in own)
        assert all(own[key] == value for key, value in named.items())
        assert make_settings(settings.to_dict()) == settings


def test_the_published_schedule_is_not_bounded() -> None:
    base = make_settings({"strategy": "progressive", "search": {"max_rows": 99}})
    assert find_candidate("published").settings(base).to_dict()["search"]["max_rows"] == UNBOUNDED


def test_every_strategy_ablation_and_published_model_takes_part_and_no_two_are_the_same() -> None:
    assert set(CANDIDATES) >= {*STRATEGIES, *ABLATIONS, *MODELS, "published"} - {Settings().strategy}
    found = [find_candidate(name).settings(Settings()) for name in CANDIDATES]
    assert all(a != b for i, a in enumerate(found) for b in found[:i])
    assert {one.strategy for one in found} == set(STRATEGIES)


def test_the_searched_model_is_the_default_whatever_the_base_says() -> None:
    base = replace(Settings(), model="mmoe", strategy="random")
    assert find_candidate("automtl").settings(base) == Settings()
    assert find_candidate("homogeneous").settings(base).space.homogeneous
    assert find_candidate("homogeneous").settings(base).strategy == "progressive"  # it changes a search by gradients


def test_an_unknown_name_is_an_error_with_the_nearest_and_the_list() -> None:
    with pytest.raises(SettingsError, match=r"'homogenous' is unknown; did you mean 'homogeneous'\?; known: .*mmoe"):
        find_candidate("homogenous")


def test_a_model_of_ones_own_takes_part_by_its_import_path() -> None:
    own = find_candidate("automtl.models.baselines.mmoe:MMoE")
    assert own.settings(Settings()).model == "automtl.models.baselines.mmoe:MMoE"
    with pytest.raises(SettingsError, match=r"cannot be imported.*correct the path"):
        find_candidate("automtl.models.baselines.mmoe:MoE")
