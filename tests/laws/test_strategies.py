"""What every registered search strategy must obey."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from automtl.models.settings import NetworkSettings
from automtl.search import STRATEGIES, SearchStrategy
from automtl.space import SpaceSettings, make_space
from automtl.testing import STRATEGY_LAWS
from automtl.testing.strategies import search, small_problem


@pytest.mark.parametrize("law", STRATEGY_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", STRATEGIES)
def test_it_keeps_the_law(name: str, law: Callable[[type[SearchStrategy]], None]) -> None:
    law(STRATEGIES.find(name))


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_searches_the_wide_space(name: str) -> None:
    """What is found has the wide space's choices; gates weigh all experts, and networks may have members."""
    space = make_space(SpaceSettings(preset="wide", experts=3, layers=1), 3)
    network = NetworkSettings(4, 8, (6,), members=2)
    problem = replace(small_problem(), space=space, network=network)
    found = search(STRATEGIES.find(name), problem).architecture
    assert space.narrow(found).size() == 1
    assert set(found.selection) == {tuple(range(found.num_experts))}
    assert found.num_experts in space.numbers_of_experts
    assert space.mutate(found, random.Random(0)) != found
