"""Laws that members of each kind must obey, for tests here and in other packages.

A law is a function of one member that raises AssertionError where it is broken. With pytest:

    @pytest.mark.parametrize("law", OPERATION_LAWS)
    def test_my_operation(law):
        law(MyOperation(8))
"""

from __future__ import annotations

from automtl.testing.datasets import DATASET_LAWS
from automtl.testing.metrics import METRIC_LAWS
from automtl.testing.models import MODEL_LAWS
from automtl.testing.operations import OPERATION_LAWS
from automtl.testing.strategies import STRATEGY_LAWS

__all__ = ["DATASET_LAWS", "METRIC_LAWS", "MODEL_LAWS", "OPERATION_LAWS", "STRATEGY_LAWS"]
