"""Operations as values."""

from __future__ import annotations

import subprocess
import sys

import pytest

from automtl.errors import SpaceError
from automtl.operations import operation
from automtl.operations.mlp import MLP


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mpl-64", "did you mean 'mlp'"),
        ("mlp", "a number, as in 'mlp-4'"),
        ("skip-3", "expected no number"),
        ("conv-4", "must be odd"),
        ("mlp-0", "at least 1"),
        ("mlp-65537", "at most 65,536"),
        ("mlp-" + "9" * 5000, "is unknown"),
        ("mlp\nskip", "is unknown"),
        ("", "operation '' is unknown"),
        ("no.such.module:Name", "cannot be imported"),
        ("json:JSONDecoder", "not a subclass of automtl.operations.Operation that says in `blocks`"),
    ],
)
def test_wrong_texts_are_named_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as found:
        operation(text)
    assert text.partition("\n")[0].partition("-")[0] in str(found.value)


def test_operations_are_values() -> None:
    assert operation("mlp-64") == MLP(64)
    assert len({MLP(64), operation("mlp-64"), MLP(32)}) == 2


def test_describing_a_space_needs_no_torch() -> None:
    code = (
        "import sys; from automtl.space import SpaceSettings, published_space; "
        "published_space(SpaceSettings(), 4).size(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
