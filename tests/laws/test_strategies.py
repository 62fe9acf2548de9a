"""What every registered search strategy must obey."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automtl.search import STRATEGIES, SearchStrategy
from automtl.testing import STRATEGY_LAWS


@pytest.mark.parametrize("law", STRATEGY_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", STRATEGIES)
def test_it_keeps_the_law(name: str, law: Callable[[type[SearchStrategy]], None]) -> None:
    law(STRATEGIES.find(name))
