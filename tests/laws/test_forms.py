"""One value, one meaning: a table is encoded to the same bits whatever files, frames and types it is stored in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.forms.files import FORMS
from tests.forms.kinds import KINDS
from tests.forms.law import parted, round_trip
from tests.forms.storage import TYPES, stored_types

GROUPS = [list(KINDS)[start::8] for start in range(8)]  # all kinds, some in a table
some_kinds = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4)
any_form = st.sampled_from(list(FORMS))


@pytest.mark.parametrize("form", FORMS)
def test_columns_of_every_kind_are_encoded_as_those_of_a_frame_are(form: str, tmp_path: Path) -> None:
    for seed, kinds in enumerate(GROUPS):
        outcome, shown = round_trip(seed, tmp_path, kinds, ("pandas frame of objects", form))
        assert outcome.kind != "different", shown


@settings(max_examples=120)
@given(seed=st.integers(0, 2**16), kinds=some_kinds, forms=st.tuples(any_form, any_form))
def test_a_table_in_two_forms_is_encoded_alike(seed: int, kinds: list[str], forms: tuple[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome, shown = round_trip(seed, Path(folder), kinds, forms)
    assert outcome.kind != "different", shown


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), kinds=some_kinds)
def test_parts_of_several_forms_are_encoded_and_prepared_as_the_whole_table_is(seed: int, kinds: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome, shown = parted(seed, Path(folder), kinds)
    assert outcome.kind != "different", shown


def test_every_type_holds_a_column_and_every_kind_has_several_types() -> None:
    found = {name: stored_types(kind) for name, kind in KINDS.items()}
    assert set().union(*found.values()) == set(TYPES)
    assert min(map(len, found.values())) >= 4
