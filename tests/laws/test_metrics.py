"""What every registered metric must obey."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automtl.testing import METRIC_LAWS
from automtl.training.metrics import METRICS, Metric


@pytest.mark.parametrize("law", METRIC_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", METRICS)
def test_it_keeps_the_law(name: str, law: Callable[[Metric], None]) -> None:
    law(METRICS.find(name))
