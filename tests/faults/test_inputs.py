"""The campaign of random inputs, in short (the long one: `python -m tests.faults.inputs`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from automtl.errors import SchemaError
from tests.faults.inputs.__main__ import KINDS
from tests.faults.inputs.law import fault_of, judged


@pytest.mark.parametrize(
    ("kind", "count"), [("settings", 60), ("schemas", 60), ("architectures", 120), ("tables", 12), ("run folders", 12)]
)
def test_random_inputs_are_accepted_or_refused_by_name(kind: str, count: int, tmp_path: Path) -> None:
    found = [judged(KINDS[kind][0], seed, tmp_path) for seed in range(count)]
    assert not [(seed, one.what) for seed, one in enumerate(found) if one.kind == "broken"]
    assert {"accepted", "refused"} <= {one.kind for one in found}


def test_the_law_tells_failures_from_refusals(tmp_path: Path) -> None:
    def refuse(message: str) -> str:
        def attempt(rng: object, folder: Path) -> None:
            raise SchemaError(message)

        return judged(attempt, 0, tmp_path).kind

    assert refuse("column 'a' is absent; add it") == "refused"
    assert refuse("wrong") == refuse("") == "broken"
    assert judged(lambda rng, folder: None, 0, tmp_path).kind == "accepted"
    assert judged(lambda rng, folder: [][0], 0, tmp_path).what.startswith("IndexError at ")
    assert fault_of("two\nlines of 'a'") and fault_of(f"'a'{'b' * 3000}")
