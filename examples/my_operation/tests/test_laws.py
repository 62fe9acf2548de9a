"""The laws that every candidate operation obeys, on the operation of this package."""

import pytest
from my_operation.maxout import Maxout

from automtl.testing import OPERATION_LAWS


@pytest.mark.parametrize("law", OPERATION_LAWS)
@pytest.mark.parametrize("pieces", [1, 3])
def test_maxout_obeys_the_law(law, pieces):
    law(Maxout(pieces))
